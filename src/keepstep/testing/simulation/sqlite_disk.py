"""SqliteDisk: one real SQLite file, and simulated processes that have the real store open on it under virtual time.

What is real: the file, every statement, group commit, the picture and what it trusts between flushes, the write-ahead
log, the migrations, the writer's rounds with their retries, stalls and looks at the clock. What stands in, because
it would bring in other clocks than the loop's: the writer's thread (``LoopDrive``), the readers' threads
(``InlineReader``), the sockets between processes (``LocalBus``) and the lock files (``OnlyThread``). All simulated
processes are handles in this very thread, so a flush is one callback, and the same seed makes the same sequence.

Losing power is another test's subject; here nothing is synced.

``crash`` is the death of a simulated process. It can come before a flush, between two tries of one, or between a flush
and its answers. ``FlushFault`` is trouble with the disk, put between the store and SQLite's statements.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from enum import Enum, auto
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from keepstep.journal import Clock, Hint, HintKind, Lease, ProcessIdentity
from keepstep.journal.identifier import IdFactory
from keepstep.journal.sqlite import SqliteJournal, statements, writer
from keepstep.journal.sqlite.connection import connect_reader, connect_writer
from keepstep.journal.sqlite.flush import Flusher
from keepstep.journal.sqlite.opening import prepare, register
from keepstep.journal.sqlite.operation import Operation
from keepstep.journal.sqlite.peers import Hear
from keepstep.journal.sqlite.reader import ask
from keepstep.journal.sqlite.renewal import Renewals
from keepstep.journal.sqlite.writer import Writer

T = TypeVar("T")


class Moment(Enum):
    """When a flush fails."""

    AT_BEGIN = auto()
    BEFORE_COMMIT = auto()
    """Everything is written, and rolled back."""
    AT_COMMIT = auto()
    AFTER_COMMIT = auto()
    """COMMIT reports an error, but it happened."""
    IN_DOUBT = auto()
    """As ``AFTER_COMMIT``, and the first look whether it happened fails, too."""


class Trouble(Enum):
    """With which error."""

    DISK_FULL = ("database or disk is full", sqlite3.SQLITE_FULL)
    IO_ERROR = ("disk I/O error", sqlite3.SQLITE_IOERR)


class FlushFault(msgspec.Struct, frozen=True):
    """What goes wrong with one flush."""

    moment: Moment
    trouble: Trouble = Trouble.IO_ERROR

    def strike(self) -> NoReturn:
        text, code = self.trouble.value
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise error


FailFlush = Callable[[int], FlushFault | None]
"""Asked at each try of a flush, with the number of the try within its process, from 1."""


class SqliteDisk:
    """A database file in a folder, which should lie in memory (``/dev/shm``)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.path.write_bytes(_template())
        self.dead: list[ProcessIdentity] = []
        self.bus = LocalBus()
        self.handles: dict[SimulatedJournal, None] = {}
        """Those that have neither crashed nor been closed."""
        self._opened = 0

    async def open(
        self,
        *,
        clock: Clock,
        process: ProcessIdentity | None = None,
        flush_delay: Callable[[], float] | None = None,
        is_surely_dead: Callable[[ProcessIdentity], bool] | None = None,
        ids: IdFactory | None = None,
        fail_flush: FailFlush | None = None,
    ) -> SimulatedJournal:
        """Open the journal as one more simulated process, on the running loop.

        ``process`` is who it is (made up if None), ``is_surely_dead`` judges others (the list of noticed crashes if
        None), ``flush_delay`` gives the seconds that each flush takes (none: the next iteration).
        """
        self._opened += 1
        number = self._opened
        who = _made_up_process(number) if process is None else process
        judge = self.is_surely_dead if is_surely_dead is None else is_surely_dead
        db = connect_writer(self.path, "OFF", FaultyConnection)
        assert isinstance(db, FaultyConnection)
        register(db, number, clock, who, judge)
        db.fail_flush = fail_flush
        return _assemble(self, db, number, who, judge, clock, flush_delay, ids or _numbered(number))

    def is_surely_dead(self, process: ProcessIdentity) -> bool:
        return process in self.dead

    def close(self) -> None:
        """End all processes that are still there, and remove the files."""
        for handle in list(self.handles):
            handle.crash()
        for file in self.path.parent.glob(f"{self.path.name}*"):
            file.unlink()


class SimulatedJournal(SqliteJournal):
    """The real journal in a simulated process, which can crash."""

    process: ProcessIdentity

    def seat(self, disk: SqliteDisk, process: ProcessIdentity, drive: LoopDrive, reader: InlineReader) -> None:
        """Give it what dies with its process."""
        self.process = process
        self._disk = disk
        self._loop_drive = drive
        self._inline_reader = reader
        self._crashed = False
        disk.handles[self] = None

    def crash(self, *, noticed: bool = True) -> None:
        """Die: nothing more is written, pending operations never return, renewals and hints stop.

        ``noticed=False``: others cannot tell that the process is dead (another machine); only its silence shows it.
        """
        if self not in self._disk.handles:
            return
        del self._disk.handles[self]
        self._crashed = True
        self._loop_drive.crash()
        self._inline_reader.crash()
        self._peers.close()
        self._listeners.clear()
        self._waiting.clear()
        if noticed:
            self._disk.dead.append(self.process)

    async def close(self) -> None:
        if not self._crashed:
            await super().close()
            self._disk.handles.pop(self, None)

    async def open_lease(self, lease: Lease) -> None:
        """The lease is this simulated process's, whatever real process makes it."""
        await super().open_lease(msgspec.structs.replace(lease, process=self.process))

    def _resolve(self, group: Sequence[Operation], hints: Sequence[Hint]) -> None:
        if not self._crashed:
            super()._resolve(group, hints)


def _assemble(
    disk: SqliteDisk,
    db: FaultyConnection,
    number: int,
    process: ProcessIdentity,
    judge: Callable[[ProcessIdentity], bool],
    clock: Clock,
    flush_delay: Callable[[], float] | None,
    ids: IdFactory,
) -> SimulatedJournal:
    """What ``open_sqlite`` puts together, from the parts of this module."""
    loop = asyncio.get_running_loop()
    reader = InlineReader(disk.path)
    journal = SimulatedJournal(clock, ids, reader, LocalPeer(disk.bus), judge)
    renewals = Renewals(loop.time)
    flusher = Flusher(db, OnlyThread(), clock, number, renewals)
    driven = Writer(flusher, renewals, clock, journal.resolve, loop.time)
    drive = LoopDrive(loop, driven, db, flush_delay)
    journal.attach(driven, drive)
    journal.seat(disk, process, drive, reader)
    return journal


class LoopDrive:
    """A ``Drive`` by callbacks of the loop. At any time it rests, or one callback of its is on the way."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        driven: Writer,
        db: sqlite3.Connection,
        flush_delay: Callable[[], float] | None,
    ) -> None:
        self._loop = loop
        self._writer = driven
        self._db = db
        self._delay = flush_delay
        self._queue: deque[Operation] = deque()
        self._is_resting = True
        self._is_ending = False
        self._is_crashed = False
        self._ended = asyncio.Event()
        self._next: asyncio.Handle
        self._rest()

    def put(self, operation: Operation) -> None:
        if self._is_crashed:
            return
        self._writer.admit(len(self._queue))
        self._queue.append(operation)
        self.wake()

    def wake(self) -> None:
        if self._is_resting and not self._is_crashed:
            self._next.cancel()
            self._go_on()

    def end(self) -> None:
        self._is_ending = True
        self.wake()

    async def join(self) -> Sequence[Operation]:
        await self._ended.wait()
        return ()

    def crash(self) -> None:
        """Nothing more is written; whoever waits, waits for ever."""
        self._is_crashed = True
        self._next.cancel()
        self._queue.clear()
        self._db.close()

    def _go_on(self) -> None:
        """Flush what waits, or else rest, or end."""
        if self._queue or self._writer.renewals.is_due():
            self._is_resting = False
            if self._delay is None:
                self._next = self._loop.call_soon(self._flush)
            else:
                self._next = self._loop.call_later(self._delay(), self._flush)
        elif self._is_ending:
            self._is_resting = False
            self._writer.leave()
            self._ended.set()
        else:
            self._rest()

    def _rest(self) -> None:
        self._is_resting = True
        self._next = self._loop.call_later(self._writer.idle_seconds(), self._look)

    def _look(self) -> None:
        """A round without operations, unless it has a lease to renew, which is a flush like others."""
        if self._writer.renewals.is_due():
            self._go_on()
        else:
            self._step(self._writer.round(()))

    def _flush(self) -> None:
        most = min(len(self._queue), writer.GROUP_OPERATIONS_MAX)
        self._step(self._writer.round([self._queue.popleft() for _ in range(most)]))

    def _step(self, a_round: Iterator[float]) -> None:
        pause = next(a_round, None)
        if pause is None:
            self._go_on()
        else:
            self._next = self._loop.call_later(pause, self._step, a_round)


class InlineReader:
    """A ``Reader`` that asks on the loop's own thread, in a later iteration."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = connect_reader(path)
        self._crashed = False

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(0)
        if self._crashed:
            await asyncio.get_running_loop().create_future()
        return ask(self._db, self._path, question)

    async def close(self) -> None:
        self._db.close()

    def crash(self) -> None:
        self._crashed = True
        self._db.close()


class LocalBus:
    """The simulated processes that hear each other's hints."""

    def __init__(self) -> None:
        self.members: dict[LocalPeer, None] = {}


class LocalPeer:
    """A ``Bus`` as one simulated process has it: hints arrive in the next iteration, in the context of their hearer."""

    def __init__(self, bus: LocalBus) -> None:
        self._bus = bus
        self._hear: Hear | None = None

    def listen(self, loop: asyncio.AbstractEventLoop, hear: Hear) -> None:
        self._loop, self._hear, self._context = loop, hear, copy_context()
        self._bus.members[self] = None

    def tell(self, kinds: Sequence[HintKind]) -> None:
        for other in self._bus.members:
            if other is not self:
                self._loop.call_soon(other.receive, tuple(kinds), context=other._context)

    def receive(self, kinds: Sequence[HintKind]) -> None:
        for kind in kinds:
            if self._hear is not None:
                self._hear(Hint(kind))

    def close(self) -> None:
        self._hear = None
        self._bus.members.pop(self, None)


class OnlyThread:
    """The turn of a process among others that run in the same thread: it is always its turn."""

    def __enter__(self) -> None:
        """Nobody else is in a flush."""

    def __exit__(self, *_: object) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """There is no lock file."""


class FaultyConnection(sqlite3.Connection):
    """A writer's connection with trouble by plan."""

    fail_flush: FailFlush | None = None
    _tries = 0
    _fault: FlushFault | None = None

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if statement == "BEGIN IMMEDIATE" and self.fail_flush is not None:
            self._tries += 1
            self._fault = self.fail_flush(self._tries)
        if self._fault is None:
            return super().execute(statement, parameters)
        return self._execute_under(self._fault, statement, parameters)

    def _execute_under(self, fault: FlushFault, statement: str, parameters: Any) -> sqlite3.Cursor:
        happens_first = statement == "COMMIT" and fault.moment in (Moment.AFTER_COMMIT, Moment.IN_DOUBT)
        if happens_first:
            super().execute(statement, parameters)
        if happens_first or _STRIKES_AT.get(fault.moment) == statement:
            looks_twice = statement == "COMMIT" and fault.moment is Moment.IN_DOUBT
            self._fault = fault if looks_twice else None
            fault.strike()
        return super().execute(statement, parameters)


_STRIKES_AT = {
    Moment.AT_BEGIN: "BEGIN IMMEDIATE",
    Moment.BEFORE_COMMIT: statements.MARK_FLUSH,
    Moment.AT_COMMIT: "COMMIT",
    Moment.IN_DOUBT: statements.LAST_FLUSH,
}


@cache
def _template() -> bytes:
    """An empty journal, made once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        db = connect_writer(path, "OFF")
        prepare(db, path)
        db.close()
        return path.read_bytes()


def _made_up_process(number: int) -> ProcessIdentity:
    return ProcessIdentity(host="virtual", boot_id="virtual", pid_namespace="virtual", pid=number, started=str(number))


def _numbered(number: int) -> IdFactory:
    """Ids of one process that no other makes."""
    made = iter(range(1, 1 << 62))
    return lambda: f"id-{number}-{next(made)}"
