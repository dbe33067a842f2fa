"""Once a journal has begun to leave, nobody writes to it any more, whoever had it open and however."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from keepstep import Engine, receive, workflow
from keepstep.client.promotion import promote
from keepstep.journal import (
    Commit,
    HintKind,
    InvalidInput,
    NewMessage,
    Position,
    Promoted,
    Run,
    StoreUnavailable,
)
from keepstep.journal.moving import Stage
from keepstep.journal.postgres import open_postgres
from keepstep.journal.sqlite import SqliteJournal, fence, open_sqlite
from keepstep.journal.sqlite.leaving import SqliteSource
from keepstep.journal.sqlite.viewing import view_sqlite
from tests.journal.moving.full import ignore, promote_now, take_back_now
from tests.journal.scene import DEAD_PROCESS, Ears, ManualClock, event, get, lease, new_run

TO = "postgresql://host/db?schema=keepstep"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    """A process that has had the journal open all the time."""
    opened = await open_sqlite(path, clock=ManualClock())
    yield opened
    await opened.close()


@pytest.fixture
async def run(journal: SqliteJournal) -> Run:
    started = await journal.start(new_run())
    return await get(journal, started.run_id)


def _leave(path: Path, stage: Stage = Stage.MOVING) -> None:
    with SqliteSource(path) as source:
        source.note(source.raise_fence(TO, 0), stage)


def _rows(path: Path) -> dict[str, int]:
    db = sqlite3.connect(path)
    try:
        return {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in fence.TABLES}
    finally:
        db.close()


async def test_a_process_that_has_it_open_cannot_commit(path: Path, journal: SqliteJournal, run: Run) -> None:
    before = _rows(path)
    _leave(path)
    with pytest.raises(Promoted, match=r"being promoted to postgresql://host/db\?schema=keepstep"):
        await journal.commit(Commit(run_id=run.run_id, version=run.version, events=(event(),)))
    assert _rows(path) == before


@pytest.mark.parametrize("what", ["start", "send", "lease", "cursor", "publish", "purge", "reap", "rebuild"])
async def test_nothing_else_can_be_written_either(path: Path, journal: SqliteJournal, run: Run, what: str) -> None:
    before = _rows(path)
    _leave(path)
    writing: dict[str, Callable[[], Awaitable[object]]] = {
        "start": lambda: journal.start(new_run("another")),
        "send": lambda: journal.send(NewMessage(run_id=run.run_id, kind="signal")),
        "lease": lambda: journal.open_lease(lease()),
        "cursor": lambda: journal.save_cursor("s", Position(0, 1)),
        "publish": lambda: journal.publish([]),
        "purge": lambda: journal.purge("default", 2**60),
        "reap": lambda: journal.close_lease("L"),
        "rebuild": lambda: journal.rebuild(),
    }
    with pytest.raises(Promoted):
        await writing[what]()
    assert _rows(path) == before


async def test_who_has_it_open_and_does_nothing_is_told_within_seconds(path: Path, journal: SqliteJournal) -> None:
    ears = Ears(journal)
    _leave(path, Stage.PROMOTED)
    await ears.wait_for(HintKind.STORE_LOST)
    [lost] = [hint for hint in ears.hints if hint.kind is HintKind.STORE_LOST]
    assert isinstance(lost.reason, Promoted)
    assert str(lost.reason).endswith(f"this journal was promoted to {TO}; open that one")
    with pytest.raises(Promoted):
        await journal.start(new_run("another"))


async def test_what_can_still_be_read_is_not_taken_for_how_things_stand(
    path: Path, journal: SqliteJournal, run: Run
) -> None:
    ears = Ears(journal)
    _leave(path, Stage.PROMOTED)
    await ears.wait_for(HintKind.STORE_LOST)
    with pytest.raises(Promoted, match="open that one"):
        await journal.read_run(run.run_id)
    with pytest.raises(Promoted, match="open that one"):
        view_sqlite(path)


async def test_it_cannot_be_opened_any_more(path: Path, journal: SqliteJournal) -> None:
    _leave(path, Stage.PROMOTED)
    with pytest.raises(Promoted, match="was promoted to postgresql://host/db"):
        await open_sqlite(path, clock=ManualClock())


async def test_a_version_that_knows_nothing_of_promoting_is_stopped_by_the_file_itself(
    path: Path, journal: SqliteJournal, run: Run
) -> None:
    _leave(path)
    db = sqlite3.connect(path)
    for statement in (
        "INSERT INTO processes VALUES (1, '{}', 0)",
        "UPDATE processes SET flush = flush + 1",
        "UPDATE runs SET epoch = epoch + 1",
        "INSERT INTO events VALUES (99, 1, 99, 'e', 0, NULL, x'')",
        "DELETE FROM runs",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="promoted"):
            db.execute(statement)
    db.close()


async def test_a_transaction_of_the_users_own_cannot_start_a_run(path: Path, journal: SqliteJournal) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE orders (id TEXT)")
    _leave(path)
    db.execute("INSERT INTO orders VALUES ('mine')")
    with pytest.raises(Promoted):
        await journal.within(db).start(new_run("another"))
    db.commit()
    assert db.execute("SELECT * FROM orders").fetchall() == [("mine",)]
    db.close()


async def test_the_fence_does_not_go_up_while_a_lease_is_open(path: Path, journal: SqliteJournal) -> None:
    await journal.open_lease(lease("L"))
    with SqliteSource(path) as source:
        with pytest.raises(StoreUnavailable, match="1 workers have this journal"):
            source.raise_fence(TO, 0)
        assert source.departure() is None
    await journal.start(new_run("another"))


async def test_a_worker_that_lives_is_named_and_nothing_is_moved(
    path: Path, postgres_url: str, journal: SqliteJournal
) -> None:
    await journal.open_lease(lease("L", label="shop"))
    with pytest.raises(StoreUnavailable, match=r"is at work: worker \d+ on \S+ \(shop\), queues q.*--wait"):
        await asyncio.to_thread(promote_now, path, postgres_url)
    await journal.start(new_run("another"))
    await (await open_postgres(postgres_url)).close()  # nor is its gate closed


async def test_a_dead_workers_lease_is_ended_and_what_it_had_is_due_there(
    path: Path, postgres_url: str, journal: SqliteJournal
) -> None:
    await journal.open_lease(lease("L", mortal=True))
    started = await journal.start(new_run(lease_id="L"))
    await asyncio.to_thread(promote_now, path, postgres_url)
    there = await open_postgres(postgres_url, clock=ManualClock())
    try:
        run = await get(there, started.run_id)
        assert (run.owner, run.wake_at) == (None, 0)
        assert run.epoch == started.epoch + 2  # given back, and moved
    finally:
        await there.close()


async def test_a_worker_that_nobody_can_judge_from_here_is_waited_for_until_it_shows_that_it_lives(
    path: Path, postgres_url: str, journal: SqliteJournal
) -> None:
    elsewhere = msgspec.structs.replace(DEAD_PROCESS, boot_id="another boot")
    await journal.open_lease(lease("L", process=elsewhere, lease_seconds=0.6))  # renewed by this very journal
    with pytest.raises(StoreUnavailable, match="is at work"):
        await asyncio.to_thread(promote_now, path, postgres_url)


async def test_with_wait_it_begins_as_soon_as_the_last_worker_has_stopped(
    path: Path, postgres_url: str, journal: SqliteJournal
) -> None:
    await journal.open_lease(lease("L", label="shop"))
    said: list[str] = []
    moving = asyncio.create_task(
        asyncio.to_thread(promote, f"sqlite:///{path}", postgres_url, wait=True, tell=ignore, say=said.append)
    )
    while not any("waiting for: worker" in line for line in said):
        assert not moving.done()
        await asyncio.sleep(0.01)
    await journal.close_lease("L")
    await moving
    with pytest.raises(Promoted):
        await journal.start(new_run("another"))


async def test_tables_that_are_not_the_journals_are_named_and_stay(
    path: Path, postgres_url: str, journal: SqliteJournal
) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE orders (id TEXT)")
    said: list[str] = []
    await asyncio.to_thread(promote, f"sqlite:///{path}", postgres_url, wait=False, tell=ignore, say=said.append)
    assert f"these tables of {path} are not the journal's, and stay where they are: orders" in said
    db.execute("INSERT INTO orders VALUES ('still mine')")
    db.commit()
    db.close()


async def test_taken_back_it_is_as_it_was(path: Path, postgres_url: str, journal: SqliteJournal, run: Run) -> None:
    await asyncio.to_thread(promote_now, path, postgres_url)
    await asyncio.to_thread(take_back_now, path, postgres_url)
    again = await open_sqlite(path, clock=ManualClock())
    try:
        committed = await again.commit(Commit(run_id=run.run_id, version=run.version, events=(event(),)))
        assert committed.version == run.version + 1
        schema = sqlite3.connect(path)
        assert schema.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'").fetchone() == (0,)
        schema.close()
    finally:
        await again.close()


async def test_what_was_used_there_is_not_taken_back(path: Path, postgres_url: str, run: Run) -> None:
    await asyncio.to_thread(promote_now, path, postgres_url)
    there = await open_postgres(postgres_url, clock=ManualClock())
    await there.send(NewMessage(run_id=run.run_id, kind="signal"))
    await there.close()
    with pytest.raises(Exception, match="was used since"):
        await asyncio.to_thread(take_back_now, path, postgres_url)
    there = await open_postgres(postgres_url, clock=ManualClock())  # it goes on there
    assert len(await there.read_messages(run.run_id)) == 1
    await there.close()
    with pytest.raises(Promoted):
        await open_sqlite(path)
    await asyncio.to_thread(take_back_now, path, postgres_url, force=True)
    await (await open_sqlite(path)).close()


async def test_what_was_only_looked_at_there_can_be_taken_back(path: Path, postgres_url: str, run: Run) -> None:
    await asyncio.to_thread(promote_now, path, postgres_url)
    there = await open_postgres(postgres_url, clock=ManualClock())
    assert (await get(there, run.run_id)).version == run.version
    await there.close()
    await asyncio.to_thread(take_back_now, path, postgres_url)
    await (await open_sqlite(path)).close()


async def test_a_server_out_of_reach_keeps_nobody_from_taking_back_what_was_never_handed_over(
    path: Path, run: Run
) -> None:
    _leave(path)
    await asyncio.to_thread(take_back_now, path, "postgresql://127.0.0.1:1/nowhere")
    await (await open_sqlite(path)).close()


async def test_but_what_was_handed_over_may_have_been_used_there(path: Path, run: Run) -> None:
    _leave(path, Stage.HANDING_OVER)
    with pytest.raises(StoreUnavailable, match="--abort --force"):
        await asyncio.to_thread(take_back_now, path, "postgresql://127.0.0.1:1/nowhere")
    with pytest.raises(Promoted):
        await open_sqlite(path)


async def test_there_must_be_something_to_take_back(path: Path, postgres_url: str, run: Run) -> None:
    with pytest.raises(InvalidInput, match="not being promoted"):
        await asyncio.to_thread(take_back_now, path, postgres_url)


@workflow
async def wait_where_it_was_moved_away() -> None:
    await receive("never")


async def test_who_waits_for_a_result_is_told_where_it_will_be(path: Path) -> None:
    async with Engine(f"sqlite:///{path}", workers=False) as engine:
        handle = await engine.start(wait_where_it_was_moved_away)
        waiting = asyncio.create_task(handle.result())
        _leave(path, Stage.PROMOTED)
        with pytest.raises(Promoted, match="open that one"):
            await waiting
        with pytest.raises(Promoted, match="open that one"):
            await handle.result()
