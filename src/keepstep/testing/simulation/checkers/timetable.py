"""Timetable: when a schedule was to fire, as far as those outside can know it.

They know when each thing that was done to it was asked for and when it was confirmed. It has happened in between, so
that there are firings that are surely *due*, and others that are merely *meant*, since they may have been.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

from keepstep.schedules import Overlap
from keepstep.testing.simulation.record import Deed, Planned

FOR_EVER = 1 << 62


class Span(NamedTuple):
    """A pause: it began and ended within these moments."""

    asked: int
    told: int
    resume_asked: int
    resume_told: int


def told(deed: Deed) -> int:
    """When it was confirmed, at the latest."""
    return FOR_EVER if deed.told is None else deed.told


class Timetable:
    """Of one schedule, from its creation on. Moments in microseconds."""

    def __init__(self, planned: Planned, created: int) -> None:
        self._planned = planned
        self._created = created
        self._backfills = [each for each in planned.deeds if each.kind == "backfill"]
        self.deleted = next((each for each in planned.deeds if each.kind == "delete"), None)
        self.updated = next((each for each in planned.deeds if each.kind == "update"), None)
        self._repoliced = next((each for each in planned.deeds if each.kind == "policy"), None)

    @cached_property
    def pauses(self) -> list[Span]:
        """In their order. The operator may have asked for a resume as well, and again."""
        found = list[Span]()
        begun = (self._created, self._created) if self._planned.is_paused else None
        for deed in self._planned.deeds:
            if deed.kind == "pause" and begun is None:
                begun = (deed.asked, told(deed))
            elif deed.kind == "resume" and deed.told is not None and begun is not None:
                found.append(Span(*begun, deed.asked, deed.told))
                begun = None
        return [*found, Span(*begun, FOR_EVER, FOR_EVER)] if begun is not None else found

    def policies(self, since: int, until: int) -> set[Overlap]:
        """Those by which a firing may have been decided about between two moments."""
        first, changed = Overlap(self._planned.overlap), self._repoliced
        if changed is None:
            return {first}
        second = {Overlap(changed.policy)} if changed.asked <= until else set[Overlap]()
        return second | ({first} if since <= told(changed) else set())

    def due(self, after: int, end: int = FOR_EVER) -> list[int]:
        """Nominal times that the schedule surely had, after one moment and up to another."""
        updated = self.updated
        if updated is None:
            return self._first(after, end)
        return [*self._first(after, min(end, updated.asked)), *self._second(max(after, told(updated)), end)]

    def meant(self, after: int, end: int = FOR_EVER) -> list[int]:
        """Those that it may have had."""
        updated = self.updated
        if updated is None:
            return self._first(after, end)
        return sorted(
            {*self._first(after, min(end, told(updated))), *self._second(max(after, updated.asked), end)}
        )  # fmt: skip

    def may_backfill(self, nominal: int) -> bool:
        """Whether somebody has asked to make up for it, by what the schedule was told before or after its update."""
        if not any(each.first <= nominal <= each.last for each in self._backfills):
            return False
        return nominal in self._first(nominal - 1, nominal) or nominal in self._second(nominal - 1, nominal)

    def _first(self, after: int, end: int) -> list[int]:
        return self._multiples(self._planned.every, self._planned.offset, after, end)

    def _second(self, after: int, end: int) -> list[int]:
        updated = self.updated
        return [] if updated is None else self._multiples(updated.every, updated.offset, after, end)

    def _multiples(self, every: int, offset: int, after: int, end: int) -> list[int]:
        first = (after - offset) // every + 1
        last = (min(end, self._planned.end) - offset) // every
        return list(range(first * every + offset, last * every + offset + 1, every))
