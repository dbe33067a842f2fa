"""Subscriber: reads the log of all events while they are made, as an exporter would, and never from the beginning."""

from __future__ import annotations

import asyncio
import random

from keepstep.journal import Position

from .process import Process
from .record import Record

PAGE_MAX = 50


class Subscriber:
    """See the module's docstring."""

    def __init__(self, process: Process, record: Record, seed: str) -> None:
        self._journal = process.engine.journal
        self._record = record
        self._chance = random.Random(f"{seed}/subscriber")
        self._position = Position(0, 0)
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Read for ever, at odd moments and in pages of odd length."""
        while True:
            await asyncio.sleep(self._chance.random())
            await self._read(self._chance.randint(1, PAGE_MAX))

    async def _read(self, limit: int) -> int:
        async with self._reading:
            entries = await self._journal.read_log(self._position, limit)
            if entries:
                self._record.log.extend(entries)
                self._position = entries[-1].position
            return len(entries)

    async def read_to_the_end(self) -> None:
        while await self._read(PAGE_MAX):
            pass
