"""Parts: the parts of the table of events. They are made ahead of need, and dropped when no run of theirs is left.

Events are parted by run numbers, which grow: a part holds all events of the runs that were started in about the same
time. A new part is begun after so many runs, or after a week (the sequence of run numbers then jumps to its beginning).
So what retention does to events is cheap: it removes runs and leaves their events lie, which nobody can find without
the run; a part of which all runs are gone is dropped as a whole, which frees its disk at once and leaves nothing to be
vacuumed. Where open runs hold a part that retention has otherwise emptied, the others' events are deleted row by row.

A part is made beside the table and attached, and detached concurrently and then dropped: neither keeps anybody from
reading and writing. Whoever is interrupted in between is finished by the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from psycopg import errors

from . import log, readings
from . import statements as sql
from .shard import SHARD_BITS
from .statement import Statement
from .wire import Wire

logger = logging.getLogger("keepstep.journal")

RUNS_A_PART = 1_000_000
PART_MICROSECONDS = 7 * 24 * 3600 * 1_000_000

PARTS_AHEAD = 2
"""Parts that are there beyond the one that is being filled."""

JUMP_MARGIN = 10_000
"""The sequence does not jump where it is about to arrive by itself."""

LOOK_SECONDS = 60.0

PARTS_EXAMINED_MAX = 8
"""At one look."""

ROWS_DELETED_MAX = 20_000
"""At one look and of one part."""


class Parts:
    """See the module."""

    def __init__(self, now: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._look_at = 0.0
        self._may_change = True
        self._forgetting = log.Forgetting()
        self._swept: dict[int, int] = {}
        """Parts in which nothing was left to delete when they had so many runs."""

    def look_after(self, wire: Wire) -> None:
        """Make, begin, empty and drop parts, now and then. Called about once a second."""
        self._forgetting.go_on(wire)
        now = self._monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        self.make(wire)
        if self._may_change:
            try:
                self.begin_next(wire)
                self.drop(wire)
            except errors.InsufficientPrivilege:
                self._may_change = False
                logger.info("this role may not change the journal's tables; parts are left to the owner of the schema")

    def make(self, wire: Wire) -> None:
        """Make the parts that will be needed next."""
        first, there = self._filling(wire), self._there(wire)
        missing = [part for part in range(first, first + PARTS_AHEAD + 1) if part not in there]
        if not missing:
            return
        try:
            with wire.transaction():
                wire.ask(readings.LOCK_PARTS)
                there = self._there(wire)  # somebody else may have been first
                for part in missing:
                    for statement in () if part in there else making(part):
                        wire.queue(statement)
        except errors.InsufficientPrivilege:
            if first in missing:
                raise
            logger.warning(
                "this role may not make the next part of the table of events; open the journal as the owner of its "
                "schema before %d more runs are started", (first + 1) * RUNS_A_PART - self._last_run(wire)
            )  # fmt: skip

    def begin_next(self, wire: Wire) -> None:
        """Let new runs go to the next part, if the one that is being filled is old enough. Most often it is not."""
        begun = wire.ask(sql.READ_META, "part begun")
        if begun and self._now() - int(begun[0][0]) <= PART_MICROSECONDS:
            return
        with wire.transaction():
            wire.ask(readings.LOCK_PARTS)
            begun, now = wire.ask(sql.READ_META, "part begun"), self._now()
            if not begun:
                wire.queue(sql.WRITE_META, "part begun", str(now))
            elif now - int(begun[0][0]) > PART_MICROSECONDS:
                boundary = (self._filling(wire) + 1) * RUNS_A_PART
                wire.queue(readings.JUMP_TO_RUN, boundary, boundary - JUMP_MARGIN, boundary - RUNS_A_PART)
                wire.queue(sql.UPDATE_META, "part begun", str(now))

    def drop(self, wire: Wire) -> None:
        """Drop parts whose runs are gone, and empty those that are held by open ones."""
        for name in wire.ask(readings.LOOSE_PARTS):
            wire.ask(Statement(f"DROP TABLE IF EXISTS {name[0]}", is_kept=False))
        filling = self._filling(wire)
        full = sorted(part for part in self._there(wire) if part < filling) if filling > 0 else []
        is_emptied = False
        for part in full[:PARTS_EXAMINED_MAX]:
            [(runs, closed)] = wire.ask(readings.RUNS_BETWEEN, _begin(part), _begin(part + 1))
            if not runs:
                self._drop(wire, part)
                is_emptied = True
            elif not closed and self._swept.get(part) != runs:
                is_emptied |= self._sweep(wire, part, runs)
        if is_emptied:
            self._forgetting.begin(wire)

    def _drop(self, wire: Wire, part: int) -> None:
        name = _name(part)
        if wire.is_pooled:  # what is concurrent wants a session
            wire.ask(Statement(f"DROP TABLE IF EXISTS {name}", is_kept=False))
            return
        try:
            wire.ask(Statement(f"ALTER TABLE events DETACH PARTITION {name} CONCURRENTLY", is_kept=False))
        except errors.ObjectNotInPrerequisiteState:  # somebody was interrupted when he had begun to
            wire.ask(Statement(f"ALTER TABLE events DETACH PARTITION {name} FINALIZE", is_kept=False))
        except (errors.UndefinedTable, errors.LockNotAvailable):
            return  # somebody else does it, or somebody reads it for long
        wire.ask(Statement(f"DROP TABLE IF EXISTS {name}", is_kept=False))

    def _sweep(self, wire: Wire, part: int, runs: int) -> bool:
        """Delete the events of runs that are gone, some at a time; whether none is left."""
        statement = Statement(readings.SWEEP_PART.format(part=_name(part)), "int8", is_kept=False)
        [(deleted,)] = wire.ask(statement, ROWS_DELETED_MAX)
        is_done = int(deleted) < ROWS_DELETED_MAX
        if is_done:
            self._swept[part] = runs
        return is_done

    def _filling(self, wire: Wire) -> int:
        """The part that new runs go to."""
        return self._last_run(wire) // RUNS_A_PART

    def _last_run(self, wire: Wire) -> int:
        return int(wire.ask(readings.LAST_RUN)[0][0])

    def _there(self, wire: Wire) -> set[int]:
        return {int(name.removeprefix("events_")) for (name,) in wire.ask(readings.LIST_PARTS)}


def _begin(part: int) -> int:
    return part * RUNS_A_PART << SHARD_BITS


def _name(part: int) -> str:
    return f"events_{part:06d}"


def making(part: int) -> list[Statement]:
    """An empty table, so that nothing in it has to be looked at when it is attached."""
    name, begin, end = _name(part), _begin(part), _begin(part + 1)
    return [
        Statement(text, is_kept=False)
        for text in (
            f"CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
            f"ALTER TABLE {name} SET (autovacuum_vacuum_insert_scale_factor = 0.1, "
            "autovacuum_analyze_scale_factor = 0.05)",
            f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ({begin}) TO ({end})",
        )
    ]
