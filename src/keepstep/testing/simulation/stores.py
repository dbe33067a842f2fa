"""Stores on which a simulation can run: the in-memory one, real SQLite, and real PostgreSQL, on files in memory."""

from __future__ import annotations

import atexit
import random
import shutil
import sqlite3
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
from .sqlite_lending import Content, read_content

FAILING_FLUSHES = 0.01
"""Share of the flushes to SQLite that meet a full disk or an I/O error; the store's own retries must cope."""

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
PREFIX = "keepstep-"

CREATE_EFFECTS = "CREATE TABLE effects (run_id TEXT, key TEXT, receipt TEXT)"
"""What transactional steps write: a table beside the journal's."""


class MemoryStore:
    """A ``process.Store`` in memory."""

    has_transactions = False
    insert_effect = ""

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
        disturb: Callable[[], None],
    ) -> MemoryJournal:
        return MemoryJournal(
            self._disk, clock=clock, process=process, flush_delay=flush_delay, is_surely_dead=is_surely_dead
        )

    def bury(self, process: ProcessIdentity) -> None:
        """To open it takes no time."""

    def read_effects(self) -> list[tuple[str, str, str]]:
        return []

    def close(self) -> None:
        """It is gone with its last user."""


class Shelf:
    """SQLite files that no seed has at the moment, as new, with the connections to them (``sqlite_lending``)."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder``: where the files lie; by default one is made, and removed when this process exits."""
        self._folder = folder
        self._disks: list[SqliteDisk] = []
        self._content: Content = {}
        """Of all of them, when they are new."""

    def take(self) -> SqliteDisk:
        if self._disks:
            return self._disks.pop()
        disk = SqliteDisk(Path(tempfile.mkdtemp(dir=self._where())))
        with closing(connect_writer(disk.path, "OFF")) as db:
            db.execute(CREATE_EFFECTS)
            self._content = read_content(db)
        return disk

    def put_back(self, disk: SqliteDisk) -> None:
        try:
            disk.clear(self._content)
        except sqlite3.Error:  # whatever was done to it, the next seed must not suffer from it
            disk.close()
        else:
            self._disks.append(disk)

    def _where(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder


_shelf = Shelf()


def lie_in(folder: Path) -> None:
    """Where the files of this process lie from now on; whoever says so removes it."""
    global _shelf
    _shelf = Shelf(folder)


class SqliteStore:
    """A ``process.Store`` on a SQLite file, some of whose flushes fail."""

    has_transactions = True
    insert_effect = "INSERT INTO effects VALUES (?, ?, ?)"

    def __init__(self, seed: str) -> None:
        self._shelf = _shelf
        self._disk = self._shelf.take()
        self._chance = random.Random(f"{seed}/flushes")

    async def open(
        self,
        *,
        clock: VirtualClock,
        process: ProcessIdentity,
        flush_delay: Callable[[], float],
        is_surely_dead: Callable[[ProcessIdentity], bool],
        ids: Callable[[], str],
        disturb: Callable[[], None],
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

    def bury(self, process: ProcessIdentity) -> None:
        """To open it takes no time."""

    def read_effects(self) -> list[tuple[str, str, str]]:
        with self._disk.lending.reading() as db:
            return db.execute("SELECT run_id, key, receipt FROM effects").fetchall()

    def close(self) -> None:
        self._shelf.put_back(self._disk)


def _make_postgres_store(seed: str) -> Store:
    """The driver, a server, and what is made of them are loaded where they are wanted."""
    from .postgres_store import PostgresStore

    return PostgresStore(seed)


STORES: dict[str, Callable[[str], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": SqliteStore,
    "postgres": _make_postgres_store,
}
"""By name, made from a seed."""
