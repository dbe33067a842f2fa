"""Event: one immutable line of a run's history."""

from __future__ import annotations

import msgspec


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event about to be appended; the store gives it the run's next ``seq``."""

    type: str
    time: int
    """Engine time, int64 UTC microseconds."""
    key: str | None
    """The structural key of the operation that this event belongs to, if any."""
    data: bytes


class Event(msgspec.Struct, frozen=True, gc=False):
    """An event of a run's history. ``seq`` is contiguous from 1."""

    seq: int
    type: str
    time: int
    key: str | None
    data: bytes


class Position(msgspec.Struct, frozen=True, order=True, gc=False):
    """A subscriber's place in a shard: never reused, and never visible before an earlier one."""

    shard: int
    n: int


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One event as a subscriber reads it."""

    position: Position
    run_id: str
    event: Event
