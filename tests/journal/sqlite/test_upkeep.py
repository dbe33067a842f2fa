"""The file and the log beside it, looked after while the store is in use."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from keepstep.journal import Commit, Run, StoreUnavailable
from keepstep.journal.sqlite import SqliteJournal, connection, open_sqlite, upkeep
from keepstep.journal.writing import writer
from tests.journal.scene import advance, event, get, start_owned, wait_until
from tests.journal.sqlite.conftest import flusher_of

KEPT = 300_000


@pytest.fixture
async def journal(database: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteJournal]:
    """A store that looks around all the time, and whose log is long early."""
    monkeypatch.setattr(writer, "CLOCK_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(connection, "LOG_BYTES_KEPT", KEPT)
    monkeypatch.setattr(upkeep, "LOG_BYTES_KEPT", KEPT)
    monkeypatch.setattr(connection, "CHECKPOINT_PAGES", 20)
    opened = await open_sqlite(database)
    yield opened
    await opened.close()


def log_bytes(database: Path) -> int:
    return os.stat(f"{database}-wal").st_size


def upkeep_of(journal: SqliteJournal) -> upkeep.Upkeep:
    keeper = flusher_of(journal)._upkeep
    assert keeper is not None
    return keeper


def count_calls(keeper: upkeep.Upkeep, name: str) -> list[None]:
    """One entry for each call of a method from now on."""
    calls: list[None] = []
    method = getattr(keeper, name)

    def counted() -> Any:
        calls.append(None)
        return method()

    setattr(keeper, name, counted)
    return calls


async def write(journal: SqliteJournal, run: Run, enough: Callable[[], bool]) -> None:
    """Commit a page or so at a time, until it is enough, and at most 50 MB."""
    data = os.urandom(5_000)
    for _ in range(10_000):
        if enough():
            return
        await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, events=(event(data=data),)))
    raise AssertionError("it is never enough")


class Reader:
    """Another program with a transaction open."""

    def __init__(self, database: Path) -> None:
        self.db = sqlite3.connect(database, isolation_level=None)
        self.read()

    def read(self) -> None:
        self.db.execute("BEGIN")
        self.db.execute("SELECT count(*) FROM events").fetchone()

    def let_go(self) -> None:
        self.db.execute("COMMIT")


async def test_a_log_that_is_always_read_from_is_begun_anew_nevertheless(
    journal: SqliteJournal, database: Path
) -> None:
    run = await start_owned(journal)
    readers = [Reader(database), Reader(database)]

    async def take_turns() -> None:
        """At every moment one of them is in the middle of reading."""
        while True:
            for reader in readers:
                reader.let_go()
                reader.read()
                await asyncio.sleep(0.005)

    reading = asyncio.create_task(take_turns())
    await write(journal, run, lambda: log_bytes(database) > 2 * KEPT)
    await write(journal, run, lambda: log_bytes(database) <= KEPT)
    reading.cancel()
    for reader in readers:
        reader.db.close()


async def test_a_log_that_somebody_never_stops_reading_grows_and_is_reported_until_they_do(
    journal: SqliteJournal, database: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "FOLD_MILLISECONDS", 1)
    monkeypatch.setattr(upkeep, "REPORT_BYTES", 2 * KEPT)
    run = await start_owned(journal)
    keeper = upkeep_of(journal)
    looks, folds = count_calls(keeper, "is_log_long"), count_calls(keeper, "fold_log")
    reader = Reader(database)
    await write(journal, run, lambda: "somebody reads from it without an end" in caplog.text)
    await write(journal, run, lambda: log_bytes(database) > 4 * KEPT)
    looked, folded = len(looks), len(folds)
    await wait_until(lambda: len(looks) > looked + 10)
    assert len(folds) <= folded + 1, "not tried again before it has grown"
    reader.let_go()
    await write(journal, run, lambda: log_bytes(database) <= KEPT)
    assert caplog.text.count("without an end") <= 3, "reported at each doubling, not at every look"
    reader.db.close()


def take_away(database: Path, replaced: bool) -> None:
    backup = database.with_name("backup.db")
    shutil.copy(database, backup)
    if replaced:
        backup.replace(database)
    else:
        database.unlink()


@pytest.mark.parametrize("replaced", [True, False])
async def test_a_database_that_was_removed_or_replaced_is_written_no_more(
    journal: SqliteJournal, database: Path, replaced: bool
) -> None:
    run = await start_owned(journal)
    take_away(database, replaced)

    async def is_refused() -> bool:
        try:
            await advance(journal, run, events=(event(),))
        except StoreUnavailable as refused:
            return "was removed or replaced while it was open" in str(refused)
        return False

    await wait_until(is_refused)


async def test_a_database_that_is_only_touched_stays_in_use(journal: SqliteJournal, database: Path) -> None:
    run = await start_owned(journal)
    looks = count_calls(upkeep_of(journal), "check_file")
    os.utime(database)
    await wait_until(lambda: len(looks) > 3)
    assert (await advance(journal, run, events=(event(),))).last_seq == 2
    assert (await get(journal, run.run_id)).last_seq == 2
