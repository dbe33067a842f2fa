"""Asking: how client code that retries gets something done: it asks one process after the other until it is heard."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from keepstep.client.engine import Engine
from keepstep.journal import Conflict, Overloaded, RunClosed, StoreUnavailable
from keepstep.runtime.errors import TimedOut

from .fleet import Fleet
from .process import Died, Process
from .scheduler import Livelock

TRIES_MAX = 400
PATIENCE_SECONDS = 0.2


class Asking:
    """Turns to any process that is alive, and to another one if that dies or its store is in trouble."""

    def __init__(self, fleet: Fleet, chance: random.Random, through: Process | None = None) -> None:
        """``through``: the one process to ask; by default any worker's that is alive."""
        self._fleet = fleet
        self._chance = chance
        self._through = through

    async def ask(self, what: Callable[[Engine], Awaitable[None]]) -> None:
        """Ask until there is an answer; that a run is closed is one."""
        for _ in range(TRIES_MAX):
            asked = self._fleet.alive() if self._through is None else [self._through]
            alive = [each for each in asked if each.is_open]
            if not alive:
                await asyncio.sleep(PATIENCE_SECONDS)
                continue
            process = self._chance.choice(alive)
            try:
                await process.call(_plainly(what, process.engine))
                return
            except RunClosed:
                return
            except Conflict as error:  # the library has tried again, and often
                raise Livelock(f"a customer was told: {error}") from error
            except (Died, StoreUnavailable, Overloaded, TimedOut):
                await asyncio.sleep(PATIENCE_SECONDS * self._chance.random())
        raise Livelock(f"a customer was not heard within {TRIES_MAX} tries")


async def _plainly(what: Callable[[Engine], Awaitable[Any]], engine: Engine) -> None:
    await what(engine)
