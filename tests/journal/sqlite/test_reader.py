"""Reading what is larger than one value of SQLite's, and reading when connections cannot be had."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keepstep.journal import Journal, NewMessage, NewTask, Position, StateChange, StoreUnavailable
from keepstep.journal.sqlite import SqliteJournal, connection, open_sqlite, reader
from tests.journal.scene import advance, event, get, lease, new_run, start_owned
from tests.journal.sqlite.conftest import flusher_of

VALUE_BYTES_MAX = 20_000
PART = b"x" * 3_000


@pytest.fixture
async def journal(database: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteJournal]:
    """A store that reads and writes values of a few parts at a time."""
    monkeypatch.setattr(connection, "READER_VALUE_BYTES_MAX", VALUE_BYTES_MAX)
    opened = await open_sqlite(database)
    flusher_of(opened)._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
    yield opened
    await opened.close()


async def test_a_run_larger_than_one_value_is_read_whole(journal: Journal) -> None:
    run = await start_owned(journal)
    for n in range(30):
        await advance(journal, run, events=(event(key=f"{n}", data=PART),), state=(StateChange("k", f"{n:02}", PART),))
        await journal.send(NewMessage(run_id=run.run_id, kind="signal", name=f"{n}", data=PART))
    await advance(journal, run, state=(StateChange("", "", b"no name"), StateChange("other", "", b"")))
    loaded = await journal.load(run.run_id)
    assert loaded.run == await get(journal, run.run_id)
    assert [one.key for one in loaded.events[1:]] == [f"{n}" for n in range(30)]
    assert loaded.events == await journal.read_events(run.run_id)
    assert list(loaded.state) == [("", ""), *(("k", f"{n:02}") for n in range(30)), ("other", "")]
    assert loaded.state == await journal.read_state(run.run_id)
    assert len(await journal.read_state(run.run_id, "k")) == 30
    assert [one.name for one in loaded.messages] == [f"{n}" for n in range(30)]
    assert loaded.messages == await journal.read_messages(run.run_id)
    assert loaded.messages[:25] == await journal.read_inbox("L", 0, 25)
    assert [row[1] for row in await journal.list_state("default", "k", limit=29)] == [f"{n:02}" for n in range(29)]
    log = await journal.read_log(Position(0, 0), 25)
    assert [entry.event for entry in log] == loaded.events[:25]


async def test_runs_and_tasks_larger_than_one_value_are_listed_and_claimed(journal: Journal) -> None:
    await journal.open_lease(lease())
    for n in range(12):
        task = NewTask(kind="step", key="a", queue="gpu", data=PART)
        started = await journal.start(new_run(f"w{n:02}", run_id=f"r{n:02}", lease_id="L", tasks=(task,)))
        await advance(journal, await get(journal, started.run_id), detail=PART, release=True, wake_at=n + 1)
    listed = [run.run_id for run in await journal.list_runs("default", limit=10)]
    assert listed == [f"r{n:02}" for n in reversed(range(2, 12))]
    claimed = await journal.claim_runs("L", 12)
    assert [(run.run_id, run.detail) for run in claimed] == [(f"r{n:02}", PART) for n in range(12)]
    tasks = await journal.claim_tasks("L", ["gpu"], ["step"], 12)
    assert [(task.run_id, task.data) for task in tasks] == [(f"r{n:02}", PART) for n in range(12)]


async def test_a_connection_that_cannot_be_had_is_tried_for_again(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM]
    real = connection.connect_reader

    def connect(path: Path) -> sqlite3.Connection:
        if not refusals:
            return real(path)
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = refusals.pop()
        raise error

    monkeypatch.setattr(reader, "connect_reader", connect)
    journal = await open_sqlite(database)
    for words in ("no memory left", "cannot be opened"):
        with pytest.raises(StoreUnavailable, match=words):
            await journal.count_runs("default")
    assert await journal.count_runs("default") == 0
    await journal.close()
