"""Store: the real SQLite journal on a recorded file system, under virtual time and on one thread.

Real are opening, migrating, statements, group commit and the writer's rounds and retries. The threads are replaced by
the loop (``simulation.sqlite_loop``), so that the same seed makes the same calls in the same order. Every transaction
is looked at just before it commits, and the trace is told when the store answers for it.

The log is folded in every ``checkpoint_pages`` pages instead of 4000, so that short lives have many checkpoints.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw

from keepstep.journal import Clock, ClockAnchor, Hint, HintKind, ProcessIdentity, StoreUnavailable
from keepstep.journal.deciding.operation import Operation
from keepstep.journal.sqlite import SqliteJournal, log
from keepstep.journal.sqlite.connection import Synchronous, set_up_reader, set_up_writer
from keepstep.journal.sqlite.flush import Flusher
from keepstep.journal.sqlite.opening import prepare, register
from keepstep.journal.sqlite.reader import ask
from keepstep.journal.writing.renewal import Renewals
from keepstep.journal.writing.writer import Writer
from keepstep.testing.simulation.sqlite_loop import LocalBus, LocalPeer, LocalProbes, LoopDrive, OnlyThread

from .driver import DriverConnection, DriverCursor, translate
from .snapshot import Snapshot, take_snapshot
from .trace import Trace
from .vfs import FileSystem

T = TypeVar("T")

DATABASE = "journal.db"

TRIES_MAX = 200
PAUSE_SECONDS = 0.5

EPOCH_MICROSECONDS = 1_800_000_000_000_000

PROCESS = ProcessIdentity(host="power", boot_id="power", pid_namespace="power", pid=1, started="1")


class StandingClock:
    """Engine time that stands still, so that a try that failed and the next one write the same."""

    def __init__(self, now: int = EPOCH_MICROSECONDS) -> None:
        self.time = now

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def jump(self) -> int:
        return 0

    def anchor(self) -> ClockAnchor:
        return ClockAnchor("power", 0, 0)

    def adopt(self, anchor: ClockAnchor) -> None:
        """Time is what it is."""


class WatchedConnection(DriverConnection):
    """The writer's connection: notes what each transaction would leave behind, and where it began to commit."""

    def __init__(self, connection: apsw.Connection, trace: Trace, snapshots: list[Snapshot]) -> None:
        super().__init__(connection)
        self._trace = trace
        self._snapshots = snapshots
        self.committed = 0
        """The last transaction of this connection that SQLite has committed."""

    def execute(self, statement: str, parameters: Any = ()) -> DriverCursor:
        if statement != "COMMIT":
            return super().execute(statement, parameters)
        self._snapshots.append(take_snapshot(DriverConnection(self.apsw)))
        number = self._trace.begin()
        done = super().execute(statement)
        self.committed = number
        return done

    def executescript(self, script: str) -> DriverCursor:
        work, commit, rest = script.rpartition("COMMIT;")
        super().executescript(work)
        if commit:
            self.execute("COMMIT")
        return super().executescript(rest)


class Rig:
    """One folder on a recorded disk, and the journals that are open on the database in it."""

    def __init__(
        self,
        system: FileSystem,
        *,
        synchronous: Synchronous = "FULL",
        checkpoint_pages: int = 60,
    ) -> None:
        self.system = system
        self.clock: Clock = StandingClock()
        self.snapshots: list[Snapshot] = []
        """What each transaction of the trace would leave behind, from number 1."""
        self._refusals = 0
        self._path = system.folder / DATABASE
        self._synchronous = synchronous
        self._checkpoint_pages = checkpoint_pages
        self._bus = LocalBus()
        self._probes = LocalProbes()
        self._processes = itertools.count(1)
        self._ids = itertools.count(1)
        self._connections: list[DriverConnection] = []
        self._drives: list[LoopDrive] = []

    def connect_writer(self) -> WatchedConnection:
        db = WatchedConnection(self._connect(), self.system.trace, self.snapshots)
        self._connections.append(db)
        set_up_writer(cast("sqlite3.Connection", db), self._synchronous)
        db.execute(f"PRAGMA wal_autocheckpoint = {self._checkpoint_pages}")
        return db

    def connect_reader(self) -> DriverConnection:
        db = DriverConnection(self._connect())
        self._connections.append(db)
        set_up_reader(cast("sqlite3.Connection", db))
        return db

    def _connect(self) -> apsw.Connection:
        try:
            return apsw.Connection(str(self._path), vfs=self.system.name, statementcachesize=512)
        except apsw.Error as error:
            raise translate(error) from error

    async def open_patiently(self) -> SqliteJournal:
        """Whoever finds the store unavailable tries again, as an operator would."""
        for _ in range(TRIES_MAX):
            try:
                return await self.open()
            except (sqlite3.Error, OSError):
                self._refusals += 1
                await asyncio.sleep(PAUSE_SECONDS)
        raise StoreUnavailable(f"the store could not be opened in {TRIES_MAX} tries")

    async def read_patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """Whoever only reads is told of trouble at once, and asks again."""
        for _ in range(TRIES_MAX):
            try:
                return await read()
            except StoreUnavailable:
                self._refusals += 1
                await asyncio.sleep(PAUSE_SECONDS)
        raise StoreUnavailable(f"nothing could be read in {TRIES_MAX} tries")

    async def open(self) -> SqliteJournal:
        """One more process opens the journal, as ``open_sqlite`` does. Raises what that turns into words."""
        number = next(self._processes)
        self._read_log_from_disk()
        db = self.connect_writer()
        writing = cast("sqlite3.Connection", db)
        try:
            prepare(writing, self._path)
            register(writing, number, self.clock, PROCESS, lambda process: False)
            reader = LoopReader(self._path, self.connect_reader())
        except BaseException:
            db.close()
            raise
        self.system.trace.answered(db.committed)
        return self._assemble(db, reader, number)

    def _read_log_from_disk(self) -> None:
        """The real thing, and what it would do to a kernel and a disk that are not made of memory."""
        log.read_from_disk(self._path)
        self.system.sync_and_evict(log.log_of(self._path).name)

    def _assemble(self, db: WatchedConnection, reader: LoopReader, number: int) -> SqliteJournal:
        loop, writing = asyncio.get_running_loop(), cast("sqlite3.Connection", db)
        peer = LocalPeer(self._bus)
        journal = SqliteJournal(self.clock, self.next_id, reader, peer, self._probes, lambda process: False, self._path)
        renewals = Renewals(loop.time)
        flusher = Flusher(writing, OnlyThread(), self.clock, number, renewals)
        writer = Writer(flusher, renewals, self.clock, self._answering(db, journal.resolve), loop.time)
        drive = LoopDrive(loop, writer, writing, None)
        self._drives.append(drive)
        journal.attach(writer, drive)
        return journal

    def _answering(
        self, db: WatchedConnection, answer: Callable[[Sequence[Operation], Sequence[Hint], Sequence[HintKind]], None]
    ) -> Callable[[Sequence[Operation], Sequence[Hint], Sequence[HintKind]], None]:
        def answered(group: Sequence[Operation], hints: Sequence[Hint], kinds: Sequence[HintKind]) -> None:
            self.system.trace.answered(db.committed)
            answer(group, hints, kinds)

        return answered

    def next_id(self) -> str:
        return f"id-{next(self._ids):06d}"

    def failures(self) -> int:
        """Statements that failed, of all connections there ever were."""
        return sum(db.failures for db in self._connections)

    def has_told(self) -> bool:
        """Whether somebody who wanted to open or to read was told of trouble."""
        return self._refusals > 0

    def unplug(self) -> None:
        """Power is gone. What the dead processes' connections do from now on, no disk sees."""
        self.system.is_powered = False
        for drive in self._drives:
            drive.crash()
        for db in self._connections:
            db.close()


class LoopReader:
    """A ``Reader`` that asks on the loop's own thread."""

    def __init__(self, path: Path, db: DriverConnection) -> None:
        self._path = path
        self._db = db

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(0)
        return ask(cast("sqlite3.Connection", self._db), self._path, question)

    async def close(self) -> None:
        self._db.close()
