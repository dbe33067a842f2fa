"""Census: how many runs there are, by status and by type, for whoever shows it all the time.

Counting looks at every run. So it is done once for all who ask at the same time, and its outcome is kept for
``KEEP_TIMES`` as long as it took, a second at least: however many look, the store is busy with it for a small part of
the time.
"""

from __future__ import annotations

import asyncio
import time
from weakref import WeakKeyDictionary

import msgspec

from keepstep.client.engine import Engine
from keepstep.client.searching import count_groups
from keepstep.journal import InvalidInput, Status

TYPES_MAX = 100
KEEP_TIMES = 10
KEEP_SECONDS_MIN = 1.0


class TypeCount(msgspec.Struct, frozen=True):
    """How many runs of one type there are."""

    type: str
    count: int


class RunCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs there are."""

    by_status: dict[str, int]
    """Of every status, also of those that no run has."""
    by_type: list[TypeCount]
    """The most first, up to 100 types; none where there are more than a thousand."""
    others: int
    """Runs of all other types."""


class Census:
    """Of one engine's namespace."""

    def __init__(self, engine: Engine) -> None:
        self._journal = engine.journal
        self._namespace = engine.namespace
        self._counting: asyncio.Task[RunCounts] | None = None
        self._keep_until = 0.0

    async def read(self) -> RunCounts:
        """The numbers, which may be a little old."""
        counting = self._counting
        if counting is None or (counting.done() and time.monotonic() >= self._keep_until) or _has_failed(counting):
            counting = self._counting = asyncio.ensure_future(self._count())
        return await asyncio.shield(counting)

    async def _count(self) -> RunCounts:
        began = time.monotonic()
        found = await count_groups(self._journal, self._namespace, "Status", None)
        by_status = {each.value: found.get(each.value, 0) for each in Status}
        by_type = await self._count_types()
        ended = time.monotonic()
        self._keep_until = ended + max((ended - began) * KEEP_TIMES, KEEP_SECONDS_MIN)
        others = sum(by_status.values()) - sum(each.count for each in by_type)
        return RunCounts(by_status=by_status, by_type=by_type, others=max(others, 0))

    async def _count_types(self) -> list[TypeCount]:
        try:
            found = await count_groups(self._journal, self._namespace, "WorkflowType", None)
        except InvalidInput:  # there are more types than anybody reads
            return []
        return [TypeCount(str(each), count) for each, count in found.items()][:TYPES_MAX]


def _has_failed(counting: asyncio.Task[RunCounts]) -> bool:
    return counting.done() and (counting.cancelled() or counting.exception() is not None)


_CENSUSES: WeakKeyDictionary[Engine, Census] = WeakKeyDictionary()


def census_of(engine: Engine) -> Census:
    """The census of an engine, which goes with it."""
    if engine not in _CENSUSES:
        _CENSUSES[engine] = Census(engine)
    return _CENSUSES[engine]
