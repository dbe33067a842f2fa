"""Drawing: what a flush is about to change in the database, and the multi-row statements that write it.

The lists hold the columns of their rows one after another, as ``statements.MultiRow`` takes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from sqlite3 import Connection
from typing import Any

from keepstep.journal.timer import Timer

from . import statements as sql
from .head import Head
from .rows import json_text

EVENT_COLUMNS = 7
MESSAGE_COLUMNS = 8


class Drawing:
    """See the module."""

    __slots__ = (
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
        "received",
        "state",
        "timers",
    )

    def __init__(self) -> None:
        self.created: list[Head] = []
        self.changed: list[Head] = []
        self.bumped: dict[str, Head] = {}
        """Runs of which only the version has moved, unless they are changed as well."""
        self.events: list[Any] = []
        self.messages: list[Any] = []
        self.consumed: list[int] = []
        self.received: list[Any] = []
        self.state: dict[tuple[int, str, str], bytes | None] = {}
        self.cleared_timers: dict[int, None] = {}
        self.timers: dict[int, tuple[Timer, ...]] = {}
        self.cleared_tasks: list[int] = []
        self.commit_ids: list[Any] = []
        self.audit: list[Any] = []

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

    def write(self, db: Connection) -> None:
        self._write_changed(db)  # before the new runs: a continuation's workflow id is free once its ancestor is closed
        if self.created:
            self._write_created(db)
        if self.events:
            sql.INSERT_EVENTS.execute(db, self.events)
        if self.messages:
            sql.INSERT_MESSAGES.execute(db, self.messages)
        if self.consumed:
            db.execute(sql.DELETE_MESSAGES, (json_text(self.consumed),))
        if self.received:
            sql.INSERT_RECEIVED.execute(db, self.received)
        if self.state:
            self._write_state(db)
        if self.cleared_timers or self.timers:
            self._write_timers(db)
        if self.cleared_tasks:
            db.execute(sql.DELETE_TASKS_OF_RUNS, (json_text(self.cleared_tasks),))
        if self.commit_ids:
            sql.INSERT_COMMIT_IDS.execute(db, self.commit_ids)
        if self.audit:
            sql.INSERT_AUDIT.execute(db, self.audit)

    def _write_created(self, db: Connection) -> None:
        values: list[Any] = []
        for head in self.created:
            assert head.created is not None
            values += (*head.created[:8], *head.mutable(), head.created[8], head.closed_at, *head.created[9:])
            values += (head.detail or b"", head.status_text or "", head.attributes, head.blocked_for)
            head.clean()
        sql.INSERT_RUNS.execute(db, values)

    def _write_changed(self, db: Connection) -> None:
        values: list[Any] = []
        for head in self.changed:
            values += (head.run, *head.mutable(), head.closed_at, head.blocked_for)
            values += (head.detail, head.status_text, head.attributes)
            head.clean()
            self.bumped.pop(head.run_id, None)
        if values:
            sql.UPDATE_RUNS.execute(db, values)
        if self.bumped:  # a run created in this flush is inserted with its bumps
            bumps = [value for head in self.bumped.values() for value in (head.run, head.bumps)]
            sql.UPDATE_BUMPS.execute(db, bumps)

    def _write_state(self, db: Connection) -> None:
        values: list[Any] = []
        deleted: list[tuple[int, str, str]] = []
        for key, data in self.state.items():
            if data is None:
                deleted.append(key)
            else:
                values += (*key, data)
        if values:
            sql.UPSERT_STATE.execute(db, values)
        if deleted:
            db.execute(sql.DELETE_STATE, (json_text(deleted),))

    def _write_timers(self, db: Connection) -> None:
        if self.cleared_timers:
            db.execute(sql.DELETE_TIMERS, (json_text(list(self.cleared_timers)),))
        values: list[Any] = []
        for run, timers in self.timers.items():
            for timer in timers:
                values += (run, timer.key, timer.fire_at)
        if values:
            sql.INSERT_TIMERS.execute(db, values)
