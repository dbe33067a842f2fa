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
from keepstep.journal import Status

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
    """Of the workflows that workers have published, the most first, up to 100 of them."""
    others: int
    """Runs of all other types."""


class Census:
    """Of one engine's namespace."""

    def __init__(self, engine: Engine) -> None:
        self._journal = engine.journal
        self._published = engine.published
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
        by_status = {each.value: await self._count_of(statuses=(each,)) for each in Status}
        types = sorted(await self._published.workflows())[:TYPES_MAX]
        by_type = [TypeCount(each, await self._count_of(types=(each,))) for each in types]
        by_type.sort(key=lambda each: (-each.count, each.type))
        ended = time.monotonic()
        self._keep_until = ended + max((ended - began) * KEEP_TIMES, KEEP_SECONDS_MIN)
        others = sum(by_status.values()) - sum(each.count for each in by_type)
        return RunCounts(by_status=by_status, by_type=by_type, others=max(others, 0))

    async def _count_of(self, statuses: tuple[Status, ...] = (), types: tuple[str, ...] = ()) -> int:
        return await self._journal.count_runs(self._namespace, statuses=statuses, types=types)


def _has_failed(counting: asyncio.Task[RunCounts]) -> bool:
    return counting.done() and (counting.cancelled() or counting.exception() is not None)


_CENSUSES: WeakKeyDictionary[Engine, Census] = WeakKeyDictionary()


def census_of(engine: Engine) -> Census:
    """The census of an engine, which goes with it."""
    if engine not in _CENSUSES:
        _CENSUSES[engine] = Census(engine)
    return _CENSUSES[engine]
