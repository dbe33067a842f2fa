"""Desk: what stands between requests and engines: who may come in, how many at a time, and which engine they get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Scope

from keepstep.client.engine import Engine

from .caller import Caller
from .changes import Changes
from .engines import Engines
from .guard import Guard
from .refusal import overloaded
from .route import Route
from .shared import Shared

CALLS_MAX = 1000
"""At work at a time, in one process. More are asked to come again, instead of all of them becoming slow."""


class Desk:
    """One for an application."""

    def __init__(self, engines: Engines, guard: Guard, *, calls_max: int = CALLS_MAX) -> None:
        self.engines = engines
        self.guard = guard
        self.changes = Changes(lambda: engines.store)
        self.shared = Shared()
        self._calls_max = calls_max
        self._calls = 0
        self.readers = 0
        """Callers that read streams of runs as they come."""
        self.closing = asyncio.Event()
        """Set when the application is about to stop: what goes on until its caller has enough ends then."""

    def close(self) -> None:
        """End what goes on until its caller has enough."""
        self.closing.set()

    @asynccontextmanager
    async def admit(self, scope: Scope, route: Route, namespace: str) -> AsyncIterator[tuple[Engine, Engine, Caller]]:
        """Let a call in: the engine that acts, the one that its caller may look through, and who that is.

        Raises ``Refusal`` and what is foreseen in ``refusal``."""
        headers = dict(scope["headers"])
        caller = await self.guard.admit(headers, route.role, namespace, is_safe=route.method == "GET")
        if self._calls >= self._calls_max:
            raise overloaded(f"{self._calls_max} calls are being answered already; try again later")
        self._calls += 1
        try:
            async with self.engines.borrow(namespace) as engine:
                seen = engine if caller.may_decode(namespace) else await self.engines.blind(engine)
                yield engine, seen, caller
        finally:
            self._calls -= 1
