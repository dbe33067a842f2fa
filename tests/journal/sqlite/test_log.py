"""The write-ahead log is made durable once more by whoever may be the first to open the database."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from keepstep.journal import StoreUnavailable, this_process
from keepstep.journal.process import is_surely_alive
from keepstep.journal.sqlite import log, open_sqlite
from tests.journal.scene import get, new_run

from .conftest import Spawn, next_line


async def left_behind(database: Path) -> str:
    """A database whose process died: its log is there, and nobody has it open. The id of a run in the log."""
    journal = await open_sqlite(database)
    run_id = (await journal.start(new_run())).run_id
    copies = [(file, read(file)) for file in (database, log.log_of(database))]
    await journal.close()
    for file, content in copies:
        write(file, content)
    return run_id


def read(file: Path) -> bytes:
    return file.read_bytes()


def inode_of(file: Path) -> int:
    return file.stat().st_ino


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


async def test_a_log_that_was_left_behind_is_written_over_itself_and_synced(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await left_behind(database)
    before = read(log.log_of(database))
    inode = inode_of(log.log_of(database))
    synced: list[bytes] = []
    written: list[int] = []
    fsync, write_some = os.fsync, os.write

    def watch_fsync(file: int) -> None:
        assert os.fstat(file).st_ino == inode
        synced.append(read(log.log_of(database)))
        fsync(file)

    def watch_write(file: int, data: bytes) -> int:
        written.append(count := write_some(file, data[:5000]))
        return count

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "write", watch_write)
    log.make_durable(database)
    assert synced == [before]
    assert sum(written) == len(before) > 0
    again = await open_sqlite(database)
    assert (await get(again, run_id)).workflow_id == "order-1"
    await again.close()


def test_a_database_without_a_log_needs_nothing(database: Path) -> None:
    log.make_durable(database)
    assert not log.log_of(database).exists()


async def test_whoever_finds_another_living_process_on_the_database_leaves_its_log_alone(
    database: Path, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_durable: list[Path] = []
    monkeypatch.setattr(log, "make_durable", made_durable.append)
    first = await open_sqlite(database)
    second = await open_sqlite(database)
    assert made_durable == [database, database], "its own process may have left its row behind"
    child = spawn("stay", database)
    assert next_line(child) == "open"
    await first.close()
    await second.close()
    third = await open_sqlite(database)
    assert made_durable == [database, database], "the child holds it open"
    await third.close()
    child.kill()
    child.wait()
    fourth = await open_sqlite(database)
    assert made_durable == [database, database, database]
    await fourth.close()


async def test_a_log_that_cannot_be_written_is_told_in_words(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await left_behind(database)

    def broken(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StoreUnavailable, match=r"its log cannot be written \(Input/output error\)"):
        await open_sqlite(database)


def test_a_process_of_another_start_time_or_boot_is_not_surely_alive() -> None:
    here = this_process()
    assert is_surely_alive(here)
    assert not is_surely_alive(msgspec.structs.replace(here, started="1"))
    assert not is_surely_alive(msgspec.structs.replace(here, boot_id="other"))
