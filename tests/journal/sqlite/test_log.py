"""Whoever opens a database has its log synced and read from the disk, before SQLite looks at it."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from keepstep.journal import StoreUnavailable
from keepstep.journal.sqlite import connection, log, open_sqlite, opening
from tests.journal.scene import get, new_run


def read(file: Path) -> bytes:
    return file.read_bytes()


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def inode(file: Path) -> int:
    return file.stat().st_ino


async def leave_behind(database: Path) -> str:
    """A database whose process died: its log is there, and nobody has it open. The id of a run in the log."""
    journal = await open_sqlite(database)
    run_id = (await journal.start(new_run())).run_id
    copies = [(file, read(file)) for file in (database, log.log_of(database))]
    await journal.close()
    for file, content in copies:
        write(file, content)
    return run_id


async def test_the_log_is_synced_and_forgotten_by_the_kernel_before_sqlite_looks_at_it(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await leave_behind(database)
    kept = inode(log.log_of(database))
    done: list[str] = []
    fsync, connect_writer = os.fsync, connection.connect_writer

    def watch_fsync(file: int) -> None:
        assert os.fstat(file).st_ino == kept
        done.append("fsync")
        fsync(file)

    def watch_advice(file: int, *advice: int) -> None:
        assert os.fstat(file).st_ino == kept
        done.append("forget" if advice == (0, 0, os.POSIX_FADV_DONTNEED) else str(advice))

    def watch_connect(path: Path, synchronous: connection.Synchronous) -> sqlite3.Connection:
        done.append("connect")
        return connect_writer(path, synchronous)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "posix_fadvise", watch_advice)
    monkeypatch.setattr(opening, "connect_writer", watch_connect)
    again = await open_sqlite(database)
    assert done == ["fsync", "forget", "connect"]
    assert (await get(again, run_id)).workflow_id == "order-1"
    await again.close()


def cached_pages(file: Path) -> int:
    """How many pages of a file are in memory. Asked by ``mincore``, since reading them would bring them there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        pages = (len(mapped) + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        found = (ctypes.c_ubyte * pages)()
        first = ctypes.c_char.from_buffer(mapped)
        failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(mapped)), found)
        del first
        assert not failed, os.strerror(ctypes.get_errno())
        return sum(page & 1 for page in found)


async def test_the_kernel_takes_the_advice_even_while_others_have_the_database_open(
    database: Path, on_a_disk: Callable[[Path], bool]
) -> None:
    journal = await open_sqlite(database)
    for number in range(20):
        await journal.start(new_run(f"order-{number}"))
    before = cached_pages(log.log_of(database))
    log.read_from_disk(database)
    if on_a_disk(database):
        assert before > 0
        assert cached_pages(log.log_of(database)) == 0
    assert await journal.count_runs("default") == 20
    await journal.start(new_run("order-20"))
    await journal.close()
    again = await open_sqlite(database)
    assert await again.count_runs("default") == 21
    await again.close()


@pytest.fixture
def on_a_disk() -> Callable[[Path], bool]:
    """Whether a file's pages could be dropped: those of a file system in memory are nowhere else."""
    from keepstep.journal.sqlite.filesystem import file_system

    return lambda file: file_system(file.parent.resolve()) in ("ext4", "xfs", "btrfs")


def test_a_database_without_a_log_needs_nothing(database: Path) -> None:
    log.read_from_disk(database)
    assert not log.log_of(database).exists()


async def test_a_log_that_cannot_be_synced_is_told_in_words(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await leave_behind(database)

    def broken(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StoreUnavailable, match=r"its log cannot be synced \(Input/output error\)"):
        await open_sqlite(database)
