"""World: the stage of a story: one store, a fleet on it, those who watch it from outside, and a virtual loop."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from keepstep.journal import Loaded
from keepstep.retention.guest import room_of as room_of_retention
from keepstep.schedules.guest import room_of
from keepstep.testing.virtual import Stuck

from . import checkers
from .customers import Caller
from .fleet import Fleet
from .process import LEASE_SECONDS, Process, Store
from .record import Record
from .scheduler import Livelock, SimulationLoop
from .stores import STORES
from .subscriber import Subscriber
from .trace import Trace

PAGE = 500

STORIES_LOOKED_THROUGH = 20
"""After so many all that is left of them is collected; in between only what the last one has made."""


class World:
    """What a plot finds when the curtain rises. Made within the loop."""

    def __init__(self, seed: str, record: Record, fleet: Fleet, trace: Trace) -> None:
        self.seed = seed
        self.record = record
        self.fleet = fleet
        self.trace = trace
        self.auditor: Process
        """Who looks at everything, without having any part in it."""
        self.subscriber: Subscriber

    async def take_stock(self) -> None:
        """Read everything as it stands. What has been removed since the last time stays as it was then."""
        record = self.record
        await _load_runs(self.auditor, "default", record.runs)
        if record.planned:
            await _load_runs(self.auditor, room_of("default"), record.schedules)
        if record.rules:
            await _load_runs(self.auditor, room_of_retention("default"), record.schedules)


Plot = Callable[[World], Awaitable[None]]
"""What happens; when it returns, every run should have come to its end."""


def play(
    plot: Plot, seed: str, store: str, workers: int, write: Callable[[str], None] | None = None
) -> tuple[Record, list[str]]:
    """Play a plot on a store of ``stores.STORES``: what happened, and what was wrong with it."""
    made = STORES[store](seed)
    try:
        with _quietly():
            return _play_on(made, plot, seed, workers, write)
    finally:
        made.close()


def _play_on(
    store: Store, plot: Plot, seed: str, workers: int, write: Callable[[str], None] | None
) -> tuple[Record, list[str]]:
    record = Record()
    loop = SimulationLoop()

    async def main() -> None:
        fleet = Fleet(store, record, seed, workers)
        await _play(plot, World(seed, record, fleet, Trace(loop.time, write)))

    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main())
        return record, list(checkers.check(record))
    except (Stuck, Livelock) as error:
        return record, [str(error)]
    finally:
        _abandon(loop)


async def _play(plot: Plot, world: World) -> None:
    fleet = world.fleet
    auditor = fleet.make()
    await auditor.open(fleet.is_surely_dead, has_worker=False)
    subscriber = Subscriber(auditor, world.record, world.seed)
    world.auditor, world.subscriber = auditor, subscriber
    caller = Caller(fleet, world.seed)
    background = [asyncio.create_task(subscriber.run()), asyncio.create_task(caller.run())]
    await plot(world)
    await asyncio.sleep(2 * LEASE_SECONDS)
    await _count_leases(auditor, fleet)
    for process in fleet.alive():
        await process.call(process.engine.close())
    for task in background:
        task.cancel()
    await subscriber.read_to_the_end()
    await world.take_stock()
    world.record.effects = fleet.store.read_effects()
    world.record.seconds = fleet.loop.time()


async def _count_leases(auditor: Process, fleet: Fleet) -> None:
    """By now the leases of all that died must have been taken over."""
    owners = [each.lease.process.pid for each in await auditor.engine.journal.list_leases()]
    fleet.record.leases_left = len(set(owners) - {each.number for each in fleet.alive()})


async def _load_runs(auditor: Process, namespace: str, runs: dict[str, Loaded]) -> None:
    journal = auditor.engine.journal
    before: tuple[int, str] | None = None
    while True:
        page = await journal.list_runs(namespace, before=before, limit=PAGE)
        for run in page:
            runs[run.run_id] = await journal.load(run.run_id)
        if len(page) < PAGE:
            break
        before = (page[-1].started_at, page[-1].run_id)


def _abandon(loop: SimulationLoop) -> None:
    """Everybody dies; what still waits will never go on, and says nothing about it."""
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    asyncio.set_event_loop(None)
    loop.close()


def digest_of(record: Record) -> str:
    """A hash of all that happened."""
    digest, archive = hashlib.blake2b(digest_size=16), record.archive.encode()
    for run_id, loaded in sorted({**record.runs, **record.schedules}.items()):
        digest.update(f"{run_id} {loaded.run.workflow_id} {loaded.run.status}\n".encode())
        for event in loaded.events:
            digest.update(f"{event.seq} {event.type} {event.time} {event.key}\n".encode())
            digest.update(event.data.replace(archive, b""))
    for each in record.executions:
        digest.update(f"{each}\n".encode())
    return digest.hexdigest()


@contextmanager
def _quietly() -> Iterator[None]:
    """The engine logs each trouble; a story makes thousands. Garbage is collected when the story is over."""
    hook, disabled, collects = sys.unraisablehook, logging.root.manager.disable, gc.isenabled()
    gc.disable()
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = _say_nothing
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        try:
            yield
        finally:
            _collect()
            sys.unraisablehook = hook
            logging.disable(disabled)
            if collects:
                gc.enable()


_stories = count(1)


def _collect() -> None:
    """While garbage is not collected, what a story has made is all young, and most of it ends with it."""
    gc.collect(2 if next(_stories) % STORIES_LOOKED_THROUGH == 0 else 0)


def bury_quietly() -> None:
    """Say nothing of coroutines of dead processes, which are thrown away wherever they were, some only at exit."""
    sys.unraisablehook = _say_nothing
    warnings.simplefilter("ignore", RuntimeWarning)


def _say_nothing(_: Any) -> None:
    """See ``bury_quietly``."""
