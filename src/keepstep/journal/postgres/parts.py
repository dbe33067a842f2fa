"""Parts: the parts of the table of events, made ahead of need, and dropped when no run of theirs is left.

Events are parted by run numbers, which grow: a part holds all events of so many runs that were started one after
another. Retention removes runs one by one, and their events with them; a part of which all runs are gone is dropped as
a whole, which frees its disk at once. One long run holds its own part, and no other.
"""

from __future__ import annotations

from collections.abc import Callable

from . import statements as sql
from .shard import SHARD_BITS
from .statement import Statement
from .wire import Wire

RUNS_A_PART = 1_000_000

PARTS_AHEAD = 2
"""Parts that are there beyond the one that is being filled."""

LOOK_SECONDS = 60.0

PARTS_DROPPED_MAX = 4
"""At one look."""


class Parts:
    """See the module."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._look_at = 0.0

    def look_after(self, wire: Wire) -> None:
        """Make and drop parts, now and then. Called about once a second."""
        now = self._monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        self.make(wire)
        self.drop(wire)

    def make(self, wire: Wire) -> None:
        """Make the parts that will be needed next."""
        first, there = self._filling(wire), self._there(wire)
        missing = [part for part in range(first, first + PARTS_AHEAD + 1) if part not in there]
        if not missing:
            return
        wire.begin()
        try:
            wire.ask(sql.LOCK_PARTS)
            there = self._there(wire)  # somebody else may have been first
            for part in missing:
                if part not in there:
                    for statement in _making(part):
                        wire.queue(statement)
            wire.commit()
        except BaseException:
            wire.roll_back()
            raise

    def drop(self, wire: Wire) -> None:
        """Drop parts whose runs are gone."""
        first = self._filling(wire)
        for part in sorted(self._there(wire))[:PARTS_DROPPED_MAX]:
            if part >= first - 1 or wire.ask(sql.ANY_RUNS_BETWEEN, _begin(part), _begin(part + 1))[0][0]:
                break
            wire.begin()
            try:
                wire.ask(sql.LOCK_PARTS)
                if part in self._there(wire):
                    wire.queue(Statement(f"DROP TABLE {_name(part)}"))
                wire.commit()
            except BaseException:
                wire.roll_back()
                raise

    def _filling(self, wire: Wire) -> int:
        """The part that new runs go to."""
        return int(wire.ask(sql.LAST_RUN)[0][0]) // RUNS_A_PART

    def _there(self, wire: Wire) -> set[int]:
        return {int(name.removeprefix("events_")) for (name,) in wire.ask(sql.LIST_PARTS)}


def _begin(part: int) -> int:
    return part * RUNS_A_PART << SHARD_BITS


def _name(part: int) -> str:
    return f"events_{part:06d}"


def _making(part: int) -> list[Statement]:
    """Made beside the table and then attached, which locks out nobody who reads or writes it."""
    name, begin, end = _name(part), _begin(part), _begin(part + 1)
    return [
        Statement(f"CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"),
        Statement(
            f"ALTER TABLE {name} SET (autovacuum_vacuum_insert_scale_factor = 0.1, "
            "autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)"
        ),
        Statement(f"ALTER TABLE {name} ADD CONSTRAINT {name}_runs CHECK (run >= {begin} AND run < {end})"),
        Statement(f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ({begin}) TO ({end})"),
        Statement(f"ALTER TABLE {name} DROP CONSTRAINT {name}_runs"),
    ]
