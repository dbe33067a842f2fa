"""Engines: one for each namespace that is asked for, all of them on one store.

Invariants

* The store is opened once and closed once; engines come and go on it.
* Beside an engine stands one for those who may not see what is encrypted, on the same journal: it seals, and does not
  open. Where there are no keys, they are one.
* There are never more than ``ENGINES_MAX``, and as many beside them. The one that was not asked for longest goes first;
  one that somebody is asking never goes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from keepstep.client.engine import Engine
from keepstep.client.namespace import checked_namespace
from keepstep.codecs.journal import blind_journal, codec_of
from keepstep.journal import Journal, NotFound, Overloaded

ENGINES_MAX = 200


class Engines:
    """See the module. ``make`` gives the engine of a namespace, not yet open."""

    def __init__(
        self, first: Engine, make: Callable[[str], Engine] | None = None, store: Journal | None = None
    ) -> None:
        """``first``: an engine, which stays its owner's, and is open while calls are answered; without ``make`` there
        is no other namespace. ``store``: what they all stand on, as it is; by default the first one's journal."""
        self.first = first
        self._store = store
        self._make = make
        self._open: OrderedDict[str, Engine] = OrderedDict()
        self._blind: dict[str, Engine] = {}
        self._asking: dict[str, int] = {}
        self._changing = asyncio.Lock()

    @property
    def store(self) -> Journal:
        """What all of them stand on."""
        return self.first.journal if self._store is None else self._store

    @asynccontextmanager
    async def borrow(self, namespace: str) -> AsyncIterator[Engine]:
        """The engine of a namespace, for as long as it is needed. Raises ``InvalidInput``, ``Overloaded``."""
        if namespace == self.first.namespace:
            yield self.first
            return
        engine = await self._find(checked_namespace(namespace))
        self._asking[namespace] = self._asking.get(namespace, 0) + 1
        try:
            yield engine
        finally:
            self._asking[namespace] -= 1
            if not self._asking[namespace]:
                del self._asking[namespace]

    async def blind(self, engine: Engine) -> Engine:
        """The one that stands beside an engine that is borrowed."""
        if codec_of(engine.journal).keys is None:
            return engine
        if engine.namespace not in self._blind:
            async with self._changing:
                if engine.namespace not in self._blind:
                    journal = blind_journal(engine.journal)
                    made = Engine(engine.url, journal=journal, namespace=engine.namespace, workers=False)
                    self._blind[engine.namespace] = await made.__aenter__()
        return self._blind[engine.namespace]

    async def _find(self, namespace: str) -> Engine:
        if namespace not in self._open:
            if self._make is None:
                raise NotFound(f"this server is for namespace {self.first.namespace!r} alone, not for {namespace!r}")
            async with self._changing:
                if namespace not in self._open:
                    await self._make_room()
                    self._open[namespace] = await self._make(namespace).__aenter__()
        self._open.move_to_end(namespace)
        return self._open[namespace]

    async def _make_room(self) -> None:
        if len(self._open) < ENGINES_MAX:
            return
        idle = next((name for name in self._open if name not in self._asking), None)
        if idle is None:
            raise Overloaded(f"{ENGINES_MAX} namespaces are being asked already; try again later")
        await self._close_blind(idle)
        await self._open.pop(idle).close()

    async def _close_blind(self, namespace: str) -> None:
        if (engine := self._blind.pop(namespace, None)) is not None:
            await engine.close()

    async def close(self) -> None:
        """Close all but the first."""
        for namespace in list(self._blind):
            await self._close_blind(namespace)
        while self._open:
            await self._open.popitem()[1].close()
