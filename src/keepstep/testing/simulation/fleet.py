"""Fleet: the processes of a simulation, those that died included, and the code version that is deployed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial

from keepstep.journal import JournalError, ProcessIdentity
from keepstep.testing.virtual import VirtualClock

from .outside import Outside
from .process import Died, Process, Store
from .record import Record
from .scheduler import Livelock, SimulationLoop
from .trouble import Decide, Outcome, always_fine

OPENING_TRIES_MAX = 50

RESTART_SECONDS = 0.5


class Fleet:
    """See the module's docstring. ``alive`` has one place for each worker; a place can be empty for a while."""

    def __init__(self, store: Store, record: Record, seed: str, workers: int) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        self.loop = loop
        self.record = record
        self.store = store
        self.outside = Outside(record, self.now, random.Random(f"{seed}/outside"), store.insert_effect)
        self.version = 1
        """What is deployed where a process starts from now on."""
        self.wall_offset = 0
        """How far off, in microseconds, the wall clock is that a process finds when it starts."""
        self.places: list[Process | None] = [None] * workers
        self.seed = seed
        self._restarting: set[asyncio.Task[None]] = set()
        self._by_number: dict[int, Process] = {}

    def now(self) -> int:
        """Engine time: the clocks of all processes agree on it."""
        return next(iter(self._by_number.values())).clock.now() if self._by_number else 0

    def is_surely_dead(self, identity: ProcessIdentity) -> bool:
        process = self._by_number[identity.pid]
        return (process.is_dead and process.is_death_noticed) or process.is_slandered

    def alive(self) -> list[Process]:
        return [each for each in self.places if each is not None and not each.is_dead]

    async def fill(self, place: int, prepare: Callable[[Process], None] | None = None) -> None:
        """Start a process at a place, as a supervisor does: until one comes up."""
        for _ in range(OPENING_TRIES_MAX):
            process = self.make()
            process.give_up = partial(self._restart_later, place)
            self.places[place] = process
            if prepare is not None:
                prepare(process)
            try:
                await process.open(self.is_surely_dead)
                return
            except Died:
                return  # whoever killed it starts another one
            except JournalError:
                process.kill()
                await asyncio.sleep(0.1)
        raise Livelock(f"no process could be started within {OPENING_TRIES_MAX} tries")

    def make(self) -> Process:
        number = len(self._by_number) + 1
        process = Process(number, self.version, self.store, self.record, self.outside, self.seed)
        if self.wall_offset:
            process.clock = VirtualClock(self.loop, wall_offset=self.wall_offset)
        self._by_number[number] = process
        return process

    async def replace(self, place: int, pause_seconds: float) -> None:
        """Start another process where one died."""
        await asyncio.sleep(pause_seconds)
        await self.fill(place)

    def trouble(self, process: Process, share: float, chance: random.Random) -> None:
        """From now on that share of all store calls of a process fails, in every way; 0 ends it."""
        process.disturb()

        def decide(_: str) -> Outcome:
            if chance.random() >= share:
                return Outcome.FINE
            process.disturb()
            return chance.choice((Outcome.REFUSED, Outcome.LOST, Outcome.TIMED_OUT))

        decision: Decide = decide if share else always_fine
        process.temper.decide = decision

    def _restart_later(self, place: int, process: Process) -> None:
        """A supervisor has seen that a process of its has ended by itself."""
        if not process.is_dead:
            self.record.faults["store lost"] += 1
            process.kill()
            restarting = asyncio.ensure_future(self.replace(place, RESTART_SECONDS))
            self._restarting.add(restarting)
            restarting.add_done_callback(self._restarting.discard)

    async def restart(self, place: int) -> None:
        """Kill who is there and start another one, with the code that is deployed now."""
        process = self.places[place]
        if process is not None:
            process.kill()
        await self.fill(place)
