"""One simulation: customers, mischief and an operator around a fleet of engines, under virtual time, from one seed."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from keepstep.testing.virtual import Stuck

from . import checkers
from .customers import ARRIVAL_SECONDS, Caller, Customer
from .faults import Mischief
from .fleet import Fleet
from .operator import Operator
from .process import LEASE_SECONDS, Process, Store
from .record import Record
from .scheduler import Livelock, SimulationLoop
from .stores import STORES
from .subscriber import Subscriber
from .trace import Trace

RUNS_MIN, RUNS_MAX = 20, 26
WORKERS_MIN, WORKERS_MAX = 2, 3

MISCHIEF_SECONDS = ARRIVAL_SECONDS + 4.0

PAGE = 500


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one seed."""

    seed: int
    store: str
    violations: list[str]
    digest: str
    """Over all histories and all that happened outside: the same seed gives the same one."""
    runs: int
    workers: int
    events: int
    executions: int
    faults: Counter[str]
    seconds: float
    """Virtual time."""


def simulate(seed: int, store: str = "memory", *, write: Callable[[str], None] | None = None) -> Report:
    """Run the simulation of one seed on a store of ``stores.STORES`` and judge it.

    ``write`` gets the trace, line by line.
    """
    made = STORES[store](f"{seed}")
    try:
        with _quietly():
            return _simulate(seed, store, made, write)
    finally:
        made.close()


def _simulate(seed: int, store: str, made: Store, write: Callable[[str], None] | None) -> Report:
    loop = SimulationLoop(seed=seed)
    asyncio.set_event_loop(loop)
    try:
        world = _World(f"{seed}", made, loop, write)
        try:
            loop.run_until_complete(world.run())
        except (Stuck, Livelock) as error:
            world.violations.append(str(error))
        finally:
            world.close()
        return world.report(seed, store)
    finally:
        asyncio.set_event_loop(None)


class _World:
    """What one simulation consists of."""

    def __init__(self, seed: str, store: Store, loop: SimulationLoop, write: Callable[[str], None] | None) -> None:
        self._loop = loop
        self._chance = chance = random.Random(f"{seed}/world")
        self._seed = seed
        self._store = store
        self._trace = Trace(loop.time, write)
        self.record = Record()
        self.violations: list[str] = []
        self._workers = chance.randint(WORKERS_MIN, WORKERS_MAX)
        self._runs = chance.randint(RUNS_MIN, RUNS_MAX)

    async def run(self) -> None:
        fleet = Fleet(self._store, self.record, self._seed, self._workers)
        auditor = fleet.make()
        await auditor.open(fleet.is_surely_dead, has_worker=False)
        self._auditor = auditor
        subscriber = Subscriber(auditor, self.record, self._seed)
        caller = Caller(fleet, self._seed)
        background = [asyncio.create_task(subscriber.run()), asyncio.create_task(caller.run())]
        await asyncio.gather(*(fleet.fill(place) for place in range(self._workers)))
        customers = [Customer(number, fleet, self._seed, self._trace) for number in range(self._runs)]
        mischief = Mischief(fleet, self._seed, MISCHIEF_SECONDS, self._trace)
        await asyncio.gather(mischief.run(), *(each.visit() for each in customers))
        self._trace("the operator takes over")
        await Operator(fleet, self._trace).bring_to_an_end()
        await asyncio.sleep(2 * LEASE_SECONDS)
        await self._count_leases(fleet)
        for process in fleet.alive():
            await process.call(process.engine.close())
        for task in background:
            task.cancel()
        await subscriber.read_to_the_end()
        await self._take_stock(auditor)
        self.record.seconds = self._loop.time()

    async def _take_stock(self, auditor: Process) -> None:
        """Read everything as it stands at the end."""
        journal = auditor.engine.journal
        before: tuple[int, str] | None = None
        while True:
            page = await journal.list_runs("default", before=before, limit=PAGE)
            for run in page:
                self.record.runs[run.run_id] = await journal.load(run.run_id)
            if len(page) < PAGE:
                break
            before = (page[-1].started_at, page[-1].run_id)

    async def _count_leases(self, fleet: Fleet) -> None:
        """By now the leases of all that died must have been taken over."""
        owners = [each.lease.process.pid for each in await self._auditor.engine.journal.list_leases()]
        self.record.leases_left = len(set(owners) - {each.number for each in fleet.alive()})

    def close(self) -> None:
        """Everybody dies; what still waits will never go on, and says nothing about it."""
        for task in asyncio.all_tasks(self._loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._loop.close()

    def report(self, seed: int, store: str) -> Report:
        record = self.record
        if not self.violations:
            self.violations = list(checkers.check(record))
        return Report(
            seed=seed,
            store=store,
            violations=self.violations,
            digest=digest_of(record),
            runs=len(record.starts),
            workers=self._workers,
            events=sum(len(each.events) for each in record.runs.values()),
            executions=len(record.executions),
            faults=record.faults,
            seconds=record.seconds,
        )


def digest_of(record: Record) -> str:
    """A hash of all that happened."""
    digest = hashlib.blake2b(digest_size=16)
    for run_id, loaded in sorted(record.runs.items()):
        digest.update(f"{run_id} {loaded.run.workflow_id} {loaded.run.status}\n".encode())
        for event in loaded.events:
            digest.update(f"{event.seq} {event.type} {event.time} {event.key}\n".encode())
            digest.update(event.data)
    for each in record.executions:
        digest.update(f"{each}\n".encode())
    return digest.hexdigest()


@contextmanager
def _quietly() -> Iterator[None]:
    """The engine logs each trouble; a simulation makes thousands. Garbage is collected when the simulation is over."""
    hook, disabled, collects = sys.unraisablehook, logging.root.manager.disable, gc.isenabled()
    gc.disable()
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = _say_nothing
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        try:
            yield
        finally:
            gc.collect()
            sys.unraisablehook = hook
            logging.disable(disabled)
            if collects:
                gc.enable()


def _say_nothing(_: Any) -> None:
    """Coroutines of dead processes are thrown away wherever they were."""
