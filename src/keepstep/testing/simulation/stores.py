"""Stores on which a simulation can run: the in-memory one, and real SQLite on a file that lies in memory."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from keepstep.journal import ProcessIdentity
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.journal.sqlite.connection import connect_writer
from keepstep.testing.virtual import VirtualClock

from .process import Store
from .sqlite_disk import SimulatedJournal, SqliteDisk
from .sqlite_faults import FlushFault, Moment, Trouble

FAILING_FLUSHES = 0.01
"""Share of the flushes to SQLite that meet a full disk or an I/O error; the store's own retries must cope."""

MEMORY = Path("/dev/shm")


class MemoryStore:
    """A ``process.Store`` in memory."""

    has_transactions = False

    def __init__(self) -> None:
        self._disk = MemoryDisk()

    async def open(
        self,
        *,
        clock: VirtualClock,
        process: ProcessIdentity,
        flush_delay: Callable[[], float],
        is_surely_dead: Callable[[ProcessIdentity], bool],
        ids: Callable[[], str],
    ) -> MemoryJournal:
        return MemoryJournal(
            self._disk, clock=clock, process=process, flush_delay=flush_delay, is_surely_dead=is_surely_dead
        )

    def read_effects(self) -> list[tuple[str, str, str]]:
        return []

    def close(self) -> None:
        """It is gone with its last user."""


class SqliteStore:
    """A ``process.Store`` on a SQLite file, some of whose flushes fail."""

    has_transactions = True

    def __init__(self, seed: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="keepstep-", dir=MEMORY if MEMORY.is_dir() else None))
        self._disk = SqliteDisk(self._folder)
        self._query("CREATE TABLE effects (run_id TEXT, key TEXT, receipt TEXT)")
        self._chance = random.Random(f"{seed}/flushes")

    async def open(
        self,
        *,
        clock: VirtualClock,
        process: ProcessIdentity,
        flush_delay: Callable[[], float],
        is_surely_dead: Callable[[ProcessIdentity], bool],
        ids: Callable[[], str],
    ) -> SimulatedJournal:
        return await self._disk.open(
            clock=clock,
            process=process,
            flush_delay=flush_delay,
            is_surely_dead=is_surely_dead,
            ids=ids,
            fail_flush=self._fail,
        )

    def _fail(self, _: int) -> FlushFault | None:
        if self._chance.random() >= FAILING_FLUSHES:
            return None
        return FlushFault(self._chance.choice(list(Moment)), self._chance.choice(list(Trouble)))

    def read_effects(self) -> list[tuple[str, str, str]]:
        return self._query("SELECT run_id, key, receipt FROM effects")

    def _query(self, statement: str) -> list[tuple[str, str, str]]:
        with closing(connect_writer(self._disk.path, "OFF")) as db:
            return db.execute(statement).fetchall()

    def close(self) -> None:
        self._disk.close()
        shutil.rmtree(self._folder, ignore_errors=True)


STORES: dict[str, Callable[[str], Store]] = {"memory": lambda _: MemoryStore(), "sqlite": SqliteStore}
"""By name, made from a seed."""
