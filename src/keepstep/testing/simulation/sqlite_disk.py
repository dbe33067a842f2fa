"""SqliteDisk: one real SQLite file, and simulated processes that have the real store open on it under virtual time.

What is real: the file, every statement, group commit, the picture and what it trusts between flushes, the write-ahead
log, the migrations, the writer's rounds with their retries, stalls and looks at the clock. What would bring in other
clocks than the loop's has stand-ins (``sqlite_loop``), so that the same seed makes the same sequence.

Losing power is another test's subject; here nothing is synced.

``crash`` is the death of a simulated process. It can come before a flush, between two tries of one, or between a flush
and its answers. ``sqlite_faults`` makes flushes fail.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import cast

import msgspec

from keepstep.journal import Clock, Hint, Lease, ProcessIdentity
from keepstep.journal.deciding.operation import Operation
from keepstep.journal.identifier import IdFactory
from keepstep.journal.sqlite import SqliteJournal
from keepstep.journal.sqlite.connection import connect_writer
from keepstep.journal.sqlite.flush import Flusher
from keepstep.journal.sqlite.opening import prepare, register
from keepstep.journal.writing.renewal import Renewals
from keepstep.journal.writing.writer import Writer

from .sqlite_faults import FailFlush, FaultyConnection
from .sqlite_lending import Content, Lending, LentConnection, restore_content
from .sqlite_loop import Inline, InlineReader, LocalBus, LocalPeer, LocalProbes, LoopDrive, OnlyThread


class SqliteDisk:
    """A database file in a folder, which should lie in memory (``/dev/shm``)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.path.write_bytes(_template())
        self.lending = Lending(self.path)
        self.handles: dict[SimulatedJournal, None] = {}
        """Those that have neither crashed nor been closed."""
        self._begin()

    def _begin(self) -> None:
        self.dead: list[ProcessIdentity] = []
        self.bus = LocalBus()
        self.probes = LocalProbes()
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
        raw = self.lending.lend_writer()
        register(raw, number, clock, who, judge)
        db = cast(sqlite3.Connection, FaultyConnection(raw, self.lending.take_back_writer, fail_flush))
        return _assemble(self, db, number, who, judge, clock, flush_delay, ids or _numbered(number))

    def is_surely_dead(self, process: ProcessIdentity) -> bool:
        return process in self.dead

    def clear(self, content: Content) -> None:
        """End all processes that are still there, and make the file hold that and nothing else."""
        self._end_processes()
        self._begin()
        raw = self.lending.lend_writer()
        restore_content(raw, content)
        self.lending.take_back_writer(raw)

    def _end_processes(self) -> None:
        for handle in list(self.handles):
            handle.crash()

    def close(self) -> None:
        """End all processes that are still there, and remove the files."""
        self._end_processes()
        self.lending.close()
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
    db: sqlite3.Connection,
    number: int,
    process: ProcessIdentity,
    judge: Callable[[ProcessIdentity], bool],
    clock: Clock,
    flush_delay: Callable[[], float] | None,
    ids: IdFactory,
) -> SimulatedJournal:
    """What ``open_sqlite`` puts together, from the parts of this module."""
    loop = asyncio.get_running_loop()
    lent = LentConnection(disk.lending.lend_reader(), disk.lending.take_back_reader)
    reader = InlineReader(disk.path, cast(sqlite3.Connection, lent))
    journal = SimulatedJournal(clock, ids, reader, LocalPeer(disk.bus), disk.probes, judge, disk.path)
    renewals = Renewals(loop.time)
    flusher = Flusher(db, OnlyThread(), clock, number, renewals, performer=Inline())
    driven = Writer(flusher, renewals, clock, journal.resolve, loop.time)
    drive = LoopDrive(loop, driven, db, flush_delay)
    journal.attach(driven, drive)
    journal.seat(disk, process, drive, reader)
    return journal


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
