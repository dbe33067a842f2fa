"""A history in virtual time: several engines on one in-memory store, with their clients; one seed, one history.

What goes wrong: processes die with their clients in the middle of calls, noticed by the others or only by their
silence; flushes take long, now and then longer than a lease; writes fail before they were made, or after.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from keepstep import Engine
from keepstep.journal import Commit, NewMessage, NewRun, Promise, Sent, Started, StoreUnavailable
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.journal.memory.change import commit_run
from keepstep.journal.memory.disk import Transaction
from keepstep.testing.virtual import VirtualClock, VirtualLoop, run
from keepstep.worker.surroundings import Surroundings

from .client import Client, Scenario, draw_scenario, proposing
from .recording import Line, Recorder

T = TypeVar("T")
What = TypeVar("What")

PROCESSES = 3
"""All but one have a worker."""
CLIENTS_EACH = 2
CALLS_EACH = 10
SUBJECTS = 2
LEASE_SECONDS = 1.0
KILLS_MAX = 3


PAUSE_SECONDS_MAX = 0.15
"""Between two calls of a client."""
RESULT_SECONDS_MAX = 3.0
FLUSH_SECONDS_MAX = 0.02
SLOW_FLUSH_SECONDS_MAX = 2.5
SLOW_FLUSHES = 0.01
"""Share of flushes that may take longer than a lease."""
TROUBLES = (0.0, 0.0, 0.02, 0.08)
"""Shares of writes that fail; each history draws one."""


class TroubledJournal(MemoryJournal):
    """A handle whose writes fail now and then: before they were made, or after, which their caller cannot tell."""

    chance: random.Random
    trouble = 0.0
    """How likely each write fails."""

    async def start(self, new: NewRun) -> Started:
        return await self._in_trouble(super().start, new)

    async def send(self, message: NewMessage) -> Sent:
        return await self._in_trouble(super().send, message)

    async def _in_trouble(self, write: Callable[[What], Awaitable[T]], what: What) -> T:
        trouble = self._draw()
        if trouble == "before":
            raise _failed()
        outcome = await write(what)
        if trouble == "after":
            raise _failed()
        return outcome

    def submit(self, commit: Commit) -> Promise:
        """What fails, fails in the order in which it was submitted, as the port promises."""
        trouble = self._draw()
        if not trouble:
            return super().submit(commit)
        failed = Promise(loop=asyncio.get_running_loop())
        if not self._crashed:
            self._flusher.submit(lambda tx: _fail(tx, commit if trouble == "after" else None), failed)
        return failed

    def _draw(self) -> str:
        return self.chance.choice(("before", "after")) if self.chance.random() < self.trouble else ""


def _fail(tx: Transaction, commit: Commit | None) -> NoReturn:
    if commit is not None:
        commit_run(tx, commit)
    raise _failed()


def _failed() -> StoreUnavailable:
    return StoreUnavailable("the disk is in trouble")


class Process:
    """An engine on the shared disk, and the clients that talk to it."""

    def __init__(self, world: World, clients: int, *, has_worker: bool) -> None:
        self._world = world
        self.has_worker = has_worker
        self.clients = clients
        self.journal = TroubledJournal(world.disk, clock=VirtualClock(world.loop), flush_delay=world.draw_flush_seconds)
        self.journal.chance = world.chance
        self.engine = Engine(
            journal=self.journal,
            workers=has_worker,
            lease_seconds=LEASE_SECONDS,
            poll_seconds=LEASE_SECONDS / 2,
            surroundings=Surroundings(make_id=proposing(world.make_id)),
        )
        self.calling: list[asyncio.Task[None]] = []
        self.known: dict[str, list[str]] = {}

    async def open(self) -> None:
        """Start the engine, then the trouble, then the clients."""
        await self.engine.__aenter__()
        self.journal.trouble = self._world.trouble
        self.calling = [asyncio.ensure_future(self.make_client().run()) for _ in range(self.clients)]

    def make_client(self) -> Client:
        world = self._world
        return Client(
            world.name_client(), self.engine, world.scenario, world.recorder, world.chance, world.make_id, self.known
        )

    async def kill(self, *, noticed: bool) -> None:
        """The process dies, and its clients with it: nothing of it runs or writes any more."""
        self.journal.crash(noticed=noticed)
        worker = self.engine.worker
        tasks = list(self.calling)
        if worker is not None:
            worker.is_open = False
            tasks += [*worker._loops, *worker._tasks]
            for resident in list(worker.residents.values()):
                worker.drop(resident)
            worker.alarms.stop()
            worker.steps.close()
            worker.watchdog.stop()
        for task in tasks:
            task.cancel()
        self.engine.closings.close()
        await asyncio.gather(*tasks, return_exceptions=True)


class World:
    """One disk, some processes, and everything drawn from one seed."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self.chance = loop.random
        self.disk = MemoryDisk()
        self.lines: list[Line] = []
        self.trouble = self.chance.choice(TROUBLES)
        self.scenario: Scenario = draw_scenario(
            self.chance,
            subjects=SUBJECTS,
            calls=CALLS_EACH,
            pause_seconds_max=PAUSE_SECONDS_MAX,
            result_seconds_max=RESULT_SECONDS_MAX,
        )
        self._moments = itertools.count(1)
        self.recorder = Recorder(self.lines.append, lambda: next(self._moments))
        self._ids = itertools.count(1)
        self._clients = itertools.count(1)
        self.processes: list[Process] = []

    def make_id(self) -> str:
        return str(uuid.UUID(int=next(self._ids)))

    def name_client(self) -> str:
        return f"client {next(self._clients)}"

    def draw_flush_seconds(self) -> float:
        is_slow = self.chance.random() < SLOW_FLUSHES
        return self.chance.uniform(0.0005, SLOW_FLUSH_SECONDS_MAX if is_slow else FLUSH_SECONDS_MAX)

    async def play(self) -> list[Line]:
        """Let clients call and processes die, then ask for the end of everything."""
        for n in range(PROCESSES):
            await self._add(has_worker=n < PROCESSES - 1)
        await self._kill()
        await asyncio.gather(*(each for process in self.processes for each in process.calling))
        await self._conclude()
        for process in self.processes:
            await process.engine.close()
        return self.lines

    async def _add(self, *, has_worker: bool) -> Process:
        process = Process(self, CLIENTS_EACH, has_worker=has_worker)
        self.processes.append(process)
        await process.open()
        return process

    async def _kill(self) -> None:
        """Kill processes at random; another takes the place of each, with clients of its own."""
        for _ in range(self.chance.randrange(KILLS_MAX + 1)):
            await asyncio.sleep(self.chance.uniform(0, CALLS_EACH * PAUSE_SECONDS_MAX / 2))
            victim = self.chance.choice(self.processes)
            self.processes.remove(victim)
            await victim.kill(noticed=self.chance.random() < 0.7)
            await self._add(has_worker=victim.has_worker)

    async def _conclude(self) -> None:
        last = await self._add_untroubled()
        for process in self.processes:
            process.journal.trouble = 0.0
            for subject, run_ids in process.known.items():
                heard = last.known.setdefault(subject, [])
                heard.extend(each for each in run_ids if each not in heard)
        client = last.make_client()
        for subject in self.scenario.subjects:
            await client.conclude(subject)

    async def _add_untroubled(self) -> Process:
        self.trouble = 0.0
        process = Process(self, 0, has_worker=True)
        self.processes.append(process)
        await process.open()
        return process


def record_history(seed: int) -> list[Line]:
    """What clients called and were answered in the history of that seed."""
    return run(lambda: World().play(), seed=seed)
