"""Drawing: what a flush is about to change in the database.

The lists hold the columns of their rows one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keepstep.journal.field import Value
from keepstep.journal.timer import Timer

from .head import Head

EVENT_COLUMNS = 7
MESSAGE_COLUMNS = 8


class Drawing:
    """See the module."""

    __slots__ = (
        "attributes",
        "audit",
        "bumped",
        "changed",
        "cleared_tasks",
        "cleared_timers",
        "commit_ids",
        "consumed",
        "created",
        "events",
        "messages",
        "moved",
        "received",
        "state",
        "timers",
    )

    def __init__(self) -> None:
        self.created: list[Head] = []
        self.changed: list[Head] = []
        self.bumped: dict[str, Head] = {}
        """Runs of which only the version has moved, unless they are changed as well."""
        self.moved: dict[str, Head] = {}
        """Runs that got events, messages or timers, or lost some: what a head counts of them has changed."""
        self.events: list[Any] = []
        """Position, run, seq, type, time, key, data."""
        self.messages: list[Any] = []
        """Arrival number, run, kind, name, data, time, id, whether it wakes."""
        self.consumed: list[tuple[int, int]] = []
        """Run and arrival number."""
        self.received: list[Any] = []
        """Run, message id, arrival number."""
        self.state: dict[tuple[int, str, str], bytes | None] = {}
        self.cleared_timers: dict[int, None] = {}
        self.timers: dict[int, tuple[Timer, ...]] = {}
        self.cleared_tasks: list[int] = []
        self.commit_ids: list[Any] = []
        """Run, id, time."""
        self.attributes: dict[tuple[int, str], tuple[Head, tuple[Value, ...]]] = {}
        """By run and name: whose it is, and the values that it is searched by."""
        self.audit: list[Any] = []
        """Run, time, text."""

    def event_bytes(self, run: int) -> int:
        """Bytes of the events drawn for a run."""
        events = self.events
        return sum(len(events[i + 6]) for i in range(0, len(events), EVENT_COLUMNS) if events[i + 1] == run)

    def arrivals(self, run: int) -> Iterator[tuple[int, bool]]:
        """The messages drawn for a run: their arrival numbers, and whether they wake."""
        messages = self.messages
        for i in range(0, len(messages), MESSAGE_COLUMNS):
            if messages[i + 1] == run:
                yield messages[i], bool(messages[i + 7])
