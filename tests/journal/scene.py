"""What the journal's tests are played with: a store with several handles, a clock set by hand, and short makers."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from keepstep.journal import (
    ClockAnchor,
    Commit,
    Committed,
    Hint,
    HintKind,
    Journal,
    Lease,
    NewEvent,
    NewRun,
    ProcessIdentity,
    Run,
    this_process,
)
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.journal.postgres import open_postgres
from keepstep.journal.sqlite import open_sqlite
from keepstep.testing.simulation.sqlite_disk import SimulatedJournal, SqliteDisk
from keepstep.testing.simulation.sqlite_faults import FlushFault, Moment, Trouble
from tests.journal.schema import take_schema

START = 1_800_000_000_000_000
"""Engine time at which every scene begins."""

WAIT_SECONDS_MAX = 20.0

_numbers = itertools.count(1)

PROCESS = this_process()

DEAD_PROCESS = msgspec.structs.replace(PROCESS, started="1")
"""This pid, but another start time: a process of this boot that surely lives no more."""


class ManualClock:
    """A clock that moves only when a test moves it; one shared by all handles of a scene, or one for each."""

    def __init__(self, now: int = START) -> None:
        self.time = now
        self.steady = 1000.0
        self.wall = 0

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.steady

    def jump(self) -> int:
        return self.wall

    def anchor(self) -> ClockAnchor:
        return ClockAnchor("manual", 0, 0)

    def adopt(self, anchor: ClockAnchor) -> None:
        """Time is what the test says."""


class Scene(ABC):
    """One store and its handles."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._handles: list[Journal] = []

    async def open(self, clock: ManualClock | None = None) -> Journal:
        """One more handle on the same store, as another process would have."""
        handle = await self._open(clock or self.clock)
        self._handles.append(handle)
        return handle

    async def close(self) -> None:
        for handle in self._handles:
            await handle.close()

    @abstractmethod
    async def _open(self, clock: ManualClock) -> Journal: ...

    @abstractmethod
    def kill(self, handle: Journal) -> None:
        """The handle's process dies; its leases were opened with ``lease(…, mortal=True)``."""


class MemoryScene(Scene):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._disk = MemoryDisk()

    async def _open(self, clock: ManualClock) -> Journal:
        return MemoryJournal(self._disk, clock=clock)

    def kill(self, handle: Journal) -> None:
        assert isinstance(handle, MemoryJournal)
        handle.crash()
        self._handles.remove(handle)


class SqliteScene(Scene):
    """A mortal lease names a process that is dead already, so its handle need not really be killed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path / "journal.db"

    async def _open(self, clock: ManualClock) -> Journal:
        return await open_sqlite(self._path, clock=clock)

    def kill(self, handle: Journal) -> None:
        """Its lease says so already."""


class SimulatedSqliteScene(Scene):
    """The SQLite store as simulations drive it: by the loop, without threads, sockets and locks."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._disk = SqliteDisk(path)

    async def _open(self, clock: ManualClock) -> Journal:
        return await self._disk.open(clock=clock, fail_flush=self.fail_flush)

    def fail_flush(self, number: int) -> FlushFault | None:
        """This disk is in no trouble."""

    def kill(self, handle: Journal) -> None:
        assert isinstance(handle, SimulatedJournal)
        handle.crash()
        self._handles.remove(handle)


class TroubledSqliteScene(SimulatedSqliteScene):
    """The same on a disk on which every third flush fails, in every way. To be played in virtual time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._chance = random.Random(1)

    def fail_flush(self, number: int) -> FlushFault | None:
        if self._chance.random() > 1 / 3:
            return None
        return FlushFault(self._chance.choice(list(Moment)), self._chance.choice(list(Trouble)))


class PostgresScene(Scene):
    """A schema of its own on a server that is shared. Its one shard is the one that the other stores have."""

    def __init__(self, server_url: str, pooler_url: str | None = None) -> None:
        """
        :param pooler_url: of a pooler in transaction mode in front of the server, through which all but hints goes.
        """
        super().__init__()
        self._schema = take_schema(server_url)
        options = f"schema={self._schema.name}&shards=1"
        self._near = f"{server_url}?{options}"
        if pooler_url is None:
            self.url = self._near
        else:
            self.url = f"{pooler_url}?{options}&pooled=true&direct={urlsplit(server_url).netloc.rpartition('@')[2]}"

    async def _open(self, clock: ManualClock) -> Journal:
        if not self._schema.is_made:
            await (await open_postgres(self._near, clock=clock)).close()
            self._schema.remember()
        return await open_postgres(self.url, clock=clock)

    def kill(self, handle: Journal) -> None:
        """Its lease says so already."""

    async def close(self) -> None:
        await super().close()
        self._schema.renew()


SCENES: dict[str, Callable[[Path], Scene]] = {
    "memory": MemoryScene,
    "sqlite": SqliteScene,
    "simulated-sqlite": SimulatedSqliteScene,
}


def new_run(workflow_id: str = "order-1", **changes: Any) -> NewRun:
    """A Python run on queue ``q`` with one event."""
    fields: dict[str, Any] = {
        "run_id": f"run-{next(_numbers):08d}",
        "workflow_id": workflow_id,
        "namespace": "default",
        "language": "python",
        "format": 1,
        "type": "fulfil",
        "queue": "q",
        "events": (event("started"),),
        "started_at": START,
        "input_digest": b"digest",
    }
    return NewRun(**{**fields, **changes})


def event(type_: str = "step_completed", data: bytes = b"", key: str | None = None) -> NewEvent:
    return NewEvent(type_, START, key, data)


def lease(lease_id: str = "L", *, mortal: bool = False, **changes: Any) -> Lease:
    process: ProcessIdentity = DEAD_PROCESS if mortal else PROCESS
    fields: dict[str, Any] = {
        "lease_id": lease_id,
        "lease_seconds": 1000.0,
        "process": process,
        "queues": ("q",),
        "languages": ("python",),
        "code": "code",
    }
    return Lease(**{**fields, **changes})


async def claim_one(journal: Journal, lease_id: str = "L") -> Run:
    """Claim the one run that is due."""
    [run] = await journal.claim_runs(lease_id, 10)
    return run


async def start_owned(journal: Journal, lease_id: str = "L", **changes: Any) -> Run:
    """Open a lease and start a run that it owns."""
    await journal.open_lease(lease(lease_id))
    started = await journal.start(new_run(lease_id=lease_id, **changes))
    assert started.leased
    return await get(journal, started.run_id)


async def advance(journal: Journal, run: Run, **changes: Any) -> Committed:
    """Commit as the run's owner."""
    return await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, **changes))


async def get(journal: Journal, run_id: str) -> Run:
    run = await journal.read_run(run_id)
    assert run is not None
    return run


async def picture(journal: Journal, run_id: str) -> tuple[Any, ...]:
    """All that can be read of a run, to see whether anything changed."""
    loaded = await journal.load(run_id)
    return msgspec.structs.astuple(loaded), await journal.read_audit(run_id)


async def settle(*operations: Awaitable[Any]) -> list[Any]:
    """Run operations at once; what each returned, or its error."""
    return await asyncio.gather(*operations, return_exceptions=True)


async def wait_until(condition: Callable[[], Any]) -> None:
    """Wait until something becomes true; coroutine functions are asked again and again."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        holds = condition()
        if asyncio.iscoroutine(holds):
            holds = await holds
        if holds:
            return
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.003)


class Ears:
    """Listens to a journal's hints."""

    def __init__(self, journal: Journal) -> None:
        self.hints: list[Hint] = []
        journal.listen(self.hints.append)

    def heard(self, kind: HintKind, run_id: str | None = None) -> bool:
        return any(
            hint.kind is kind and (run_id is None or not hint.run_ids or run_id in hint.run_ids) for hint in self.hints
        )

    def names(self, kind: HintKind, run_id: str) -> int:
        """How many hints of that kind have named the run."""
        return sum(hint.kind is kind and run_id in hint.run_ids for hint in self.hints)

    async def wait_for(self, kind: HintKind, run_id: str | None = None) -> None:
        await wait_until(lambda: self.heard(kind, run_id))
