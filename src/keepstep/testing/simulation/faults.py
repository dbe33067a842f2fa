"""Faults: what goes wrong in a simulation, when, and for how long; all of it drawn from the seed.

kill              a process dies at a random microsecond; others see it at once. Another one starts a while later
vanish            the same on a machine that nobody can look into: only its silence shows it
freeze            a process stops for a while, often for longer than its lease, and then goes on as if nothing had been
slander           a living process is taken for dead, and its lease taken away
store trouble     a share of a process's store calls is refused, done without an answer, or timed out having been done
slow store        a process's answers from the store take up to a second and a half
clock jump        a process's wall clock is moved, by up to ten years, forward or back
deploy            a process is killed and comes back with other code: older, newer, or such as contradicts all histories
power             all processes die at once

In stories with schedules, also:

clocks            the clock of the whole machine is moved, by seconds or years, also for processes that start later
blackout          all processes die at once, and it takes longer until others start

Messages that come late, twice, or in another order, and hints that are lost, need no plan: ``trouble`` and
``customers`` make them all the time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable
from typing import Any

from .fleet import Fleet
from .language import CONTRADICTING, FITTING
from .process import LEASE_SECONDS, Process
from .trace import Trace

TEN_YEARS = 10 * 365 * 86400 * 1_000_000

FAULTS = "kill kill kill vanish vanish freeze freeze slander trouble trouble slow clock deploy deploy power".split()

FAULTS_MIN, FAULTS_MAX = 3, 9

JUMPS_MAX = 3
SMALL_JUMPS = (-10_000_000, -3_000_000, 5_000_000)
"""Microseconds; those that a schedule would notice first that went by the wall clock."""

BLACKOUTS, BLACKOUT_SECONDS = 0.5, 5.0


def draw_faults_of_schedules(chance: random.Random, seconds: float) -> list[tuple[float, str]]:
    """What stories with schedules have beside all else: moments and kinds."""
    kinds = ["clocks"] * chance.randint(1, JUMPS_MAX) + ["blackout"] * (chance.random() < BLACKOUTS)
    return [(chance.random() * seconds, each) for each in kinds]


class Mischief:
    """Does what its seed says, until ``stop``."""

    def __init__(
        self, fleet: Fleet, seed: str, seconds: float, trace: Trace, more: Iterable[tuple[float, str]] = ()
    ) -> None:
        """``more``: what else is to go wrong, and when."""
        self._fleet = fleet
        self._chance = random.Random(f"{seed}/faults")
        self._trace = trace
        self._tasks: set[asyncio.Task[None]] = set()
        count = self._chance.randint(FAULTS_MIN, FAULTS_MAX)
        drawn = [(self._chance.random() * seconds, self._chance.choice(FAULTS)) for _ in range(count)]
        self._plan = sorted((*drawn, *more))

    async def run(self) -> None:
        """Let everything go wrong that is planned."""
        began = self._fleet.loop.time()
        for moment, kind in self._plan:
            await asyncio.sleep(max(0.0, began + moment - self._fleet.loop.time()))
            place, process = await self._victim()
            self._fleet.record.faults[kind] += 1
            self._trace(f"fault: {kind}, {process}")
            self._spawn(getattr(self, f"_{kind}")(place, process))
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _victim(self) -> tuple[int, Process]:
        """Somebody who is alive, as soon as anybody is."""
        while True:
            alive = self._fleet.alive()
            if alive:
                process = self._chance.choice(alive)
                return self._fleet.places.index(process), process
            await asyncio.sleep(0.05)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        task.result()

    def _seconds(self, longest: float) -> float:
        return float(self._chance.random() * longest)

    async def _kill(self, place: int, process: Process) -> None:
        process.kill()
        await self._fleet.replace(place, self._seconds(1.0))

    async def _vanish(self, place: int, process: Process) -> None:
        process.kill(noticed=False)
        await self._fleet.replace(place, self._seconds(2 * LEASE_SECONDS))

    async def _freeze(self, _: int, process: Process) -> None:
        process.disturb()
        process.freeze()
        await asyncio.sleep(self._seconds(3 * LEASE_SECONDS))
        if not process.is_dead:
            process.disturb()
            process.thaw(self._fleet.loop)

    async def _slander(self, _: int, process: Process) -> None:
        process.disturb()
        process.is_slandered = True
        await asyncio.sleep(LEASE_SECONDS)
        process.is_slandered = False
        process.disturb()

    async def _trouble(self, _: int, process: Process) -> None:
        self._fleet.trouble(process, self._chance.choice((0.05, 0.2, 0.6)), self._chance)
        await asyncio.sleep(self._seconds(3.0))
        self._fleet.trouble(process, 0.0, self._chance)

    async def _slow(self, _: int, process: Process) -> None:
        process.disturb()
        process.temper.is_slow = True
        await asyncio.sleep(self._seconds(3.0))
        process.disturb()
        process.temper.is_slow = False

    async def _clock(self, _: int, process: Process) -> None:
        process.clock.move_wall(round((self._chance.random() * 2 - 1) * TEN_YEARS))

    async def _deploy(self, place: int, process: Process) -> None:
        self._fleet.version = self._chance.choice((*FITTING, *FITTING, CONTRADICTING))
        self._trace(f"version {self._fleet.version} is deployed")
        process.kill()
        await self._fleet.replace(place, self._seconds(0.5))

    async def _clocks(self, _: int, __: Process) -> None:
        jump = self._chance.choice((*SMALL_JUMPS, -TEN_YEARS, TEN_YEARS))
        self._fleet.wall_offset += jump
        for each in self._fleet.alive():
            each.clock.move_wall(jump)

    async def _power(self, _: int, __: Process) -> None:
        await self._black_out(2.0)

    async def _blackout(self, _: int, __: Process) -> None:
        await self._black_out(BLACKOUT_SECONDS)

    async def _black_out(self, seconds: float) -> None:
        dying = [n for n, each in enumerate(self._fleet.places) if each is not None and not each.is_dead]
        for each in self._fleet.alive():
            each.kill()
        pause = self._seconds(seconds)
        await asyncio.gather(*(self._fleet.replace(n, pause) for n in dying))
