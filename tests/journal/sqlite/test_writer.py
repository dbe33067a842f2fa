"""The writer thread in trouble: one bad operation, a full disk, a COMMIT of unknown outcome, a full queue."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from keepstep.journal import Commit, HintKind, Journal, Overloaded, Position, Run, Status, StoreUnavailable, limits
from keepstep.journal.sqlite import SqliteJournal, open_sqlite
from keepstep.journal.writing import writer
from tests.journal.scene import Ears, advance, event, get, lease, new_run, settle, start_owned, wait_until
from tests.journal.sqlite.conftest import flusher_of


@pytest.fixture
async def journal(database: Path) -> AsyncIterator[SqliteJournal]:
    opened = await open_sqlite(database)
    yield opened
    await opened.close()


class Disk:
    """The disk under a journal, which can be full for a while."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._db = flusher_of(journal)._db

    def fill(self) -> None:
        """Fill it, before there are deeds."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        self._db.execute(f"PRAGMA max_page_count = {pages}")

    def empty(self) -> None:
        while not self._is_empty():
            pass

    def _is_empty(self) -> bool:
        """Whether it could be emptied; while a deed is performed, its guard refuses settings of the database to all."""
        try:
            self._db.execute("PRAGMA max_page_count = 1000000000")
        except sqlite3.DatabaseError as error:
            if str(error) != "not authorized":
                raise
            return False
        return True


class Driver:
    """The writer's connection, with a COMMIT that reports an error before or after it happened."""

    def __init__(self, db: sqlite3.Connection, fail: Callable[[Callable[[], Any]], Any]) -> None:
        self._db = db
        self._fail: Callable[[Callable[[], Any]], Any] | None = fail

    def execute(self, statement: str, values: Any = ()) -> Any:
        if statement == "COMMIT" and self._fail is not None:
            fail, self._fail = self._fail, None
            return fail(lambda: self._db.execute(statement))
        return self._db.execute(statement, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def io_error() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error


def big_commit(run: Run) -> Commit:
    return Commit(run_id=run.run_id, epoch=run.epoch, events=(event(data=b"x" * 100_000),))


async def test_one_operation_that_cannot_be_written_does_not_fail_its_neighbours(journal: SqliteJournal) -> None:
    run = await start_owned(journal)
    other = (await journal.start(new_run("order-2", lease_id="L"))).run_id
    good, bad, also_good, started = await settle(
        advance(journal, run, events=(event(key="a"),)),
        journal.commit(Commit(run_id=other, epoch=1, events=(event(key="no text \ud800"),))),
        advance(journal, run, events=(event(key="b"),)),
        journal.start(new_run("order-3")),
    )
    assert isinstance(bad, UnicodeEncodeError)
    assert (good.last_seq, also_good.last_seq, started.created) == (2, 3, True)
    assert (await get(journal, other)).last_seq == 1
    assert [entry.position.n for entry in await journal.read_log(Position(0, 0))] == [1, 2, 3, 4, 5]


async def test_what_an_operation_would_have_told_is_not_told_if_it_cannot_be_written(journal: SqliteJournal) -> None:
    run, ears = await start_owned(journal), Ears(journal)
    other = await get(journal, (await journal.start(new_run("order-2", lease_id="L"))).run_id)
    closed, started, refused = await settle(
        advance(journal, other, status=Status.COMPLETED),
        journal.start(new_run("order-3")),
        advance(journal, run, events=(event(key="no text \ud800"),), status=Status.COMPLETED),
    )
    assert isinstance(refused, UnicodeEncodeError)
    assert closed.version == 2
    assert ears.heard(HintKind.READY, started.run_id)
    closings = [closing.run_id for hint in ears.hints for closing in hint.closings]
    assert closings == [other.run_id]


async def test_a_full_disk_delays_commits_and_loses_none(
    journal: SqliteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    run, disk = await start_owned(journal), Disk(journal)
    disk.fill()
    waiting = [journal.submit(big_commit(run)) for _ in range(5)]
    await wait_until(lambda: "the disk is full" in caplog.text)
    assert not any(future.done() for future in waiting)
    assert (await get(journal, run.run_id)).last_seq == 1, "readers go on"
    disk.empty()
    committed = await asyncio.gather(*waiting)
    assert [one.last_seq for one in committed] == [2, 3, 4, 5, 6]
    reports = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(reports) == 1, "trouble is reported once, not at every try"
    assert "can be written again" in caplog.text


async def test_a_queue_behind_a_full_disk_is_bounded(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    run, disk = await start_owned(journal), Disk(journal)
    disk.fill()
    monkeypatch.setattr(limits, "QUEUE_OPERATIONS_MAX", 10)
    waiting = []
    with pytest.raises(Overloaded, match="try again later"):
        for _ in range(3 * writer.GROUP_OPERATIONS_MAX):
            waiting.append(journal.submit(big_commit(run)))
            await asyncio.sleep(0)
    disk.empty()
    assert (await asyncio.gather(*waiting))[-1].last_seq == 1 + len(waiting)


async def test_a_store_that_closes_while_the_disk_is_full_says_what_was_not_written(
    database: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "CLOSE_SECONDS_MAX", 0.05)
    journal = await open_sqlite(database)
    run = await start_owned(journal)
    Disk(journal).fill()
    waiting = journal.submit(big_commit(run))
    await wait_until(lambda: "the disk is full" in caplog.text)
    await journal.close()
    with pytest.raises(StoreUnavailable, match="not written: the disk is full"):
        await waiting


async def test_a_store_whose_queue_is_full_can_be_closed(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "CLOSE_SECONDS_MAX", 0.05)
    run = await start_owned(journal)
    Disk(journal).fill()
    monkeypatch.setattr(limits, "QUEUE_OPERATIONS_MAX", 1)
    waiting = [journal.submit(big_commit(run))]
    await wait_until(lambda: "the disk is full" in caplog.text)
    waiting.append(journal.submit(big_commit(run)))
    await journal.close()
    for each in waiting:
        with pytest.raises(StoreUnavailable, match="not written"):
            await each


async def test_a_commit_that_fails_but_happened_is_acknowledged_and_not_repeated(journal: SqliteJournal) -> None:
    run = await start_owned(journal)

    def after(commit: Callable[[], Any]) -> None:
        commit()
        raise io_error()

    flusher_of(journal)._db = Driver(flusher_of(journal)._db, after)  # type: ignore[assignment]
    committed = await advance(journal, run, events=(event(),))
    assert committed.last_seq == 2
    assert len(await journal.read_events(run.run_id)) == 2
    assert (await advance(journal, run, events=(event(),))).last_seq == 3


async def test_a_commit_that_fails_and_did_not_happen_is_done_again(journal: SqliteJournal) -> None:
    run = await start_owned(journal)

    def before(commit: Callable[[], Any]) -> None:
        raise io_error()

    flusher_of(journal)._db = Driver(flusher_of(journal)._db, before)  # type: ignore[assignment]
    assert (await advance(journal, run, events=(event(),))).last_seq == 2
    assert len(await journal.read_events(run.run_id)) == 2


async def test_damage_found_while_writing_fails_everything_with_words(journal: SqliteJournal) -> None:
    run = await start_owned(journal)
    damage = sqlite3.DatabaseError("database disk image is malformed")
    damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    def broken(commit: Callable[[], Any]) -> None:
        raise damage

    flusher_of(journal)._db = Driver(flusher_of(journal)._db, broken)  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable, match="malformed"):
        await advance(journal, run, events=(event(),))
    with pytest.raises(StoreUnavailable, match="cannot be written any more"):
        await advance(journal, run, events=(event(),))


async def test_a_group_of_many_kinds_is_written_as_if_one_by_one(journal: SqliteJournal) -> None:
    await journal.open_lease(lease())
    count = 700
    started = await asyncio.gather(*[journal.start(new_run(f"o{i}", lease_id="L")) for i in range(count)])
    commits = [
        journal.commit(Commit(run_id=one.run_id, epoch=1, first_seq=seq, events=(event(data=b"%d" % seq),)))
        for seq in (2, 3)
        for one in started
    ]
    await asyncio.gather(*commits)
    for one in started[:: count // 10]:
        events = await journal.read_events(one.run_id)
        assert [(found.seq, found.data) for found in events] == [(1, b""), (2, b"2"), (3, b"3")]
    log = [entry.position.n for n in range(0, 3 * count, 500) for entry in await journal.read_log(Position(0, n), 500)]
    assert log == list(range(1, 3 * count + 1))


async def test_a_history_of_many_pages_is_loaded_whole(journal: SqliteJournal) -> None:
    run = await start_owned(journal)
    events = tuple(event(data=f"{seq}".encode()) for seq in range(2, 10_002))
    await advance(journal, run, events=events)
    loaded = await journal.load(run.run_id)
    assert [one.seq for one in loaded.events] == list(range(1, 10_002))
    assert loaded.events[-1].data == b"10001"


async def test_an_answer_does_not_wait_for_a_timer(journal: SqliteJournal) -> None:
    run = await start_owned(journal)
    taken = []
    for _ in range(50):
        begin = time.perf_counter()
        await advance(journal, run, events=(event(),))
        taken.append(time.perf_counter() - begin)
    assert min(taken) < 0.02


async def test_the_port_is_implemented(journal: SqliteJournal) -> None:
    port: Journal = journal
    assert await port.count_runs("default") == 0
