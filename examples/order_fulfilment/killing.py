"""Kills workers: at seeded moments, and only while they are in the middle of something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Protocol

GLANCE_SECONDS = 0.01
TOGETHER_EVERY = 4
TOGETHER_SECONDS = 0.02


class Victim(Protocol):
    """A process that can be killed and started again."""

    @property
    def life(self) -> str:
        """Its name, and which of its lives this is."""

    def kill(self) -> None:
        """Ends it without a word."""

    def start(self) -> None:
        """Starts it again."""


OpenRequests = Callable[[], Awaitable[dict[str, int]]]
"""How many requests of each worker the outside world is working on, by the name of the worker's life."""

NoteKill = Callable[[str, int], Awaitable[None]]
"""Writes into the books that a worker was killed, and how many of its requests were open."""


def kill_moments(kills: int, span_seconds: float, dice: Random) -> list[float]:
    """When to kill, in seconds from the beginning: at random, one kill in each of ``kills`` equal slices.

    Every fourth kill comes right after the one before, so that for a moment no worker is alive.
    """
    slice_seconds = span_seconds / kills if kills else 0.0
    moments = [slice_seconds * (number + dice.random()) for number in range(kills)]
    for number in range(TOGETHER_EVERY - 1, kills, TOGETHER_EVERY):
        moments[number] = moments[number - 1] + TOGETHER_SECONDS
    return moments


class Killer:
    """Kills one of its victims at each moment.

    That a worker has open runs is not the engine's word: it has, when the outside world is busy with its requests.
    """

    def __init__(
        self, victims: Sequence[Victim], open_requests: OpenRequests, note_kill: NoteKill, dice: Random
    ) -> None:
        self._victims = victims
        self._open_requests = open_requests
        self._note_kill = note_kill
        self._dice = dice
        self.kills = 0
        self.last_killed = ""

    async def run(self, moments: Sequence[float]) -> None:
        """Kills at every one of the moments; each waits for a worker that is busy."""
        began = time.monotonic()
        for moment in moments:
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            await self._kill_one()

    async def _kill_one(self) -> None:
        victim, requests_open = await self._choose()
        victim.kill()
        self.kills += 1
        self.last_killed = victim.life
        victim.start()
        await self._note_kill(self.last_killed, requests_open)

    async def _choose(self) -> tuple[Victim, int]:
        """Any of the victims that is busy; the dice say who is looked at first."""
        order = self._dice.sample(self._victims, len(self._victims))
        while True:
            busy = await self._open_requests()
            for victim in order:
                if busy.get(victim.life, 0) > 0:
                    return victim, busy[victim.life]
            await asyncio.sleep(GLANCE_SECONDS)
