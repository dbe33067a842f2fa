"""Dear: an answer that takes a while to make, for whoever asks for it all the time.

It is made once for all who ask at the same time, and kept for ``KEEP_TIMES`` as long as it took, a second at least:
however many ask, the store is busy with it for a small part of the time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from keepstep.client.engine import Engine
from keepstep.journal import Journal

T = TypeVar("T")

Make = Callable[[Journal, str], Awaitable[T]]
"""Makes the answer, of a journal and a namespace."""

KEEP_TIMES = 10
KEEP_SECONDS_MIN = 1.0


class Dear(Generic[T]):
    """One such answer, of one engine's namespace. It does not hold the engine, with which it is to go."""

    def __init__(self, engine: Engine, make: Make[T]) -> None:
        self._journal = engine.journal
        self._namespace = engine.namespace
        self._make = make
        self._making: asyncio.Task[T] | None = None
        self._keep_until = 0.0

    async def read(self) -> T:
        """The answer, which may be a little old."""
        making = self._making
        if making is None or (making.done() and time.monotonic() >= self._keep_until) or _has_failed(making):
            making = self._making = asyncio.ensure_future(self._run())
        return await asyncio.shield(making)

    async def _run(self) -> T:
        began = time.monotonic()
        made = await self._make(self._journal, self._namespace)
        ended = time.monotonic()
        self._keep_until = ended + max((ended - began) * KEEP_TIMES, KEEP_SECONDS_MIN)
        return made


def _has_failed(making: asyncio.Task[Any]) -> bool:
    return making.done() and (making.cancelled() or making.exception() is not None)


_KEPT: WeakKeyDictionary[Engine, dict[str, Dear[Any]]] = WeakKeyDictionary()


async def read_dear(engine: Engine, name: str, make: Make[T]) -> T:
    """The answer of that name for an engine's namespace; ``make`` is asked where none is kept."""
    kept = _KEPT.setdefault(engine, {})
    if name not in kept:
        kept[name] = Dear(engine, make)
    return cast(T, await kept[name].read())
