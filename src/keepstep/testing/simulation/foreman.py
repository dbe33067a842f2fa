"""Foreman: pauses queues now and then, while everything goes wrong, and lets them go on."""

from __future__ import annotations

import asyncio
import random

from .asking import Asking
from .fleet import Fleet
from .language import RATED_QUEUE, REMOTE_QUEUE, TALK_QUEUE
from .record import QueuePause
from .trace import Trace

PAUSES_MAX = 3
BEGIN_SECONDS, LENGTH_SECONDS = 8.0, 2.0


class Foreman:
    """See the module's docstring."""

    def __init__(self, fleet: Fleet, seed: str, trace: Trace) -> None:
        self._fleet = fleet
        self._chance = random.Random(f"{seed}/foreman")
        self._ask = Asking(fleet, self._chance).ask
        self._trace = trace

    async def visit(self) -> None:
        """All that is paused goes on before it is over. No queue is paused twice at a time."""
        queues = self._chance.sample((REMOTE_QUEUE, TALK_QUEUE, RATED_QUEUE), self._chance.randint(1, PAUSES_MAX))
        await asyncio.gather(*(self._pause(each) for each in queues))

    async def _pause(self, queue: str) -> None:
        await asyncio.sleep(self._chance.random() * BEGIN_SECONDS)
        await self._ask(lambda engine: engine.queues.pause(queue))
        pause = QueuePause(queue, self._fleet.now())
        self._fleet.record.queue_pauses.append(pause)
        await asyncio.sleep(self._chance.random() * LENGTH_SECONDS)
        pause.resumed = self._fleet.now()
        await self._ask(lambda engine: engine.queues.resume(queue))
        self._trace(f"the foreman has paused: {pause}")
