"""Work of the caller's own and the commit that records it are one, on every store that has room for such work."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from keepstep.journal import (
    Commit,
    Committed,
    Conflict,
    Deed,
    DeedFailed,
    Fenced,
    Journal,
    NewEvent,
    NewMessage,
    NotFound,
    Position,
    Run,
    RunClosed,
    StateChange,
    Status,
    StoreUnavailable,
    TaskToken,
    TooLarge,
    Unsupported,
    limits,
)
from keepstep.journal.sqlite import open_sqlite
from tests.journal.conftest import make_scene
from tests.journal.scene import (
    MemoryScene,
    PostgresScene,
    Scene,
    advance,
    event,
    get,
    lease,
    new_run,
    start_owned,
)

TABLE = "effects_of_own_work"


class Workshop:
    """A journal, and a table beside its own in which work leaves its name."""

    def __init__(self, journal: Journal, place: Any, placeholder: str) -> None:
        self.journal = journal
        self._db: Any = place
        self._insert = f"INSERT INTO {TABLE} VALUES ({placeholder})"
        self._db.execute(f"CREATE TABLE {TABLE} (what TEXT)")

    def effects(self) -> list[str]:
        return [what for (what,) in self._db.execute(f"SELECT what FROM {TABLE} ORDER BY what")]

    async def work(self, run: Run, what: str, *events: NewEvent, then: Exception | None = None, **changes: Any) -> Any:
        """Do the work within the commit of events, as the store wants it."""
        commit = Commit(**{"run_id": run.run_id, "epoch": run.epoch, **changes})
        if self.journal.performs_deeds:

            def do(db: Any) -> tuple[NewEvent, ...]:
                db.execute(self._insert, (what,))
                if then is not None:
                    raise then
                return events

            commit.deed = Deed(do=do, seconds_max=1.0)
            return await self.journal.commit(commit)
        async with self.journal.transaction(is_async=True) as transaction:
            await transaction.connection.execute(self._insert, (what,))
            if then is not None:
                raise then
            commit.events += events
            return await transaction.commit(commit)


@pytest.fixture(params=["sqlite", "simulated-sqlite", "postgres"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    """A store that has room for tables beside its own."""
    made = make_scene(request, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def workshop(scene: Scene, journal: Journal, tmp_path: Path) -> AsyncIterator[Workshop]:
    if isinstance(scene, PostgresScene):
        with psycopg.connect(scene.url.partition("?")[0], autocommit=True) as db:
            yield Workshop(journal, db, "%s")
            db.execute(f"DROP TABLE {TABLE}")
    else:
        yield Workshop(journal, sqlite3.connect(tmp_path / "journal.db", isolation_level=None), "?")


async def test_work_and_its_commit_are_one(workshop: Workshop) -> None:
    run = await start_owned(workshop.journal)
    other = await get(workshop.journal, (await workshop.journal.start(new_run("other", lease_id="L"))).run_id)
    change = StateChange("kind", "key", b"data")
    told = NewMessage(run_id=other.run_id, kind="signal", name="told")
    first, second = event(key="first"), event(key="second")
    done = await workshop.work(run, "a", second, events=(first,), first_seq=2, state=(change,), send=(told,))
    assert isinstance(done, Committed)
    assert (done.last_seq, done.epoch) == (3, run.epoch)
    assert workshop.effects() == ["a"]
    assert [each.key for each in await workshop.journal.read_events(run.run_id, 1)] == ["first", "second"]
    assert await workshop.journal.read_state(run.run_id) == {("kind", "key"): b"data"}
    assert [each.name for each in await workshop.journal.read_messages(other.run_id)] == ["told"]
    log = await workshop.journal.read_log(Position(0, 0))
    assert [entry.event.key for entry in log if entry.run_id == run.run_id] == [None, "first", "second"]
    assert (await advance(workshop.journal, run, events=(event(key="third"),), first_seq=4)).last_seq == 4


async def test_work_of_a_commit_that_is_refused_is_undone(workshop: Workshop) -> None:
    journal = workshop.journal
    run = await start_owned(journal)
    large = event(data=b"x" * (limits.EVENT_BYTES_MAX + 1))
    refused: tuple[tuple[type[Exception], dict[str, Any]], ...] = (
        (Fenced, {"epoch": run.epoch + 1}),
        (Conflict, {"first_seq": 3}),
        (Conflict, {"version": 7}),
        (Conflict, {"consume": (1,)}),
        (Fenced, {"epoch": None, "task_token": TaskToken(99, 1)}),
        (TooLarge, {"events": (large,)}),
        (NotFound, {"run_id": "nobody"}),
    )
    for error, changes in refused:
        with pytest.raises(error):
            await workshop.work(run, "never", event(), **changes)
    await advance(journal, run, status=Status.COMPLETED)
    with pytest.raises((RunClosed, Fenced)):
        await workshop.work(run, "never", event())
    assert (workshop.effects(), (await get(journal, run.run_id)).last_seq) == ([], 1)


async def test_work_that_fails_is_undone_and_changes_nothing(workshop: Workshop) -> None:
    run = await start_owned(workshop.journal)
    with pytest.raises((DeedFailed, LookupError)) as failed:
        await workshop.work(run, "never", event(), then=LookupError("no luck"))
    assert "no luck" in f"{failed.value!r} {failed.value.__cause__!r}"
    assert (workshop.effects(), (await get(workshop.journal, run.run_id)).last_seq) == ([], 1)


async def test_work_of_a_zombie_is_undone(workshop: Workshop) -> None:
    run = await start_owned(workshop.journal)
    await workshop.journal.close_lease("L")
    await workshop.journal.open_lease(lease("M"))
    [taken] = await workshop.journal.claim_runs("M", 10)
    with pytest.raises(Fenced):
        await workshop.work(run, "by the zombie", event())
    await workshop.work(taken, "by the owner", event())
    assert workshop.effects() == ["by the owner"]


async def test_work_of_many_runs_at_once_is_done_once_each(workshop: Workshop) -> None:
    await workshop.journal.open_lease(lease())
    started = [await workshop.journal.start(new_run(f"w{n}", lease_id="L")) for n in range(12)]
    runs = [await get(workshop.journal, each.run_id) for each in started]
    plain = [advance(workshop.journal, run, events=(event(),), first_seq=2) for run in runs[:6]]
    works = [workshop.work(run, f"{n:02}", event(), first_seq=2) for n, run in enumerate(runs[6:])]
    await asyncio.gather(*plain, *works)
    assert workshop.effects() == [f"{n:02}" for n in range(6)]
    assert [(await get(workshop.journal, run.run_id)).last_seq for run in runs] == [2] * 12


async def test_a_store_without_room_for_work_says_so(tmp_path: Path) -> None:
    journal = await MemoryScene(tmp_path).open()
    run = await start_owned(journal)
    deed = Deed(do=lambda _: (event(),), seconds_max=1.0)
    with pytest.raises(DeedFailed) as failed:
        await advance(journal, run, deed=deed)
    assert isinstance(failed.value.__cause__, Unsupported)
    for ask in (lambda: journal.within(None), lambda: journal.transaction(is_async=True)):
        with pytest.raises(Unsupported):
            ask()
    assert (await get(journal, run.run_id)).version == 1


async def test_a_store_that_performs_deeds_gives_out_no_transactions(database: Path) -> None:
    journal = await open_sqlite(database)
    with pytest.raises(Unsupported):
        journal.transaction(is_async=False)
    await journal.close()


async def test_a_store_that_gives_out_transactions_performs_no_deeds(postgres_server: Any) -> None:
    scene = PostgresScene(postgres_server.url)
    journal = await scene.open()
    run = await start_owned(journal)
    with pytest.raises(DeedFailed) as failed:
        await advance(journal, run, deed=Deed(do=lambda _: (event(),), seconds_max=1.0))
    assert isinstance(failed.value.__cause__, Unsupported)
    assert (await get(journal, run.run_id)).version == 1
    await scene.close()


async def test_a_closed_store_gives_out_nothing(postgres_server: Any) -> None:
    scene = PostgresScene(postgres_server.url)
    journal = await scene.open()
    await scene.close()
    for ask in (lambda: journal.within(None), lambda: journal.transaction(is_async=True)):
        with pytest.raises(StoreUnavailable):
            ask()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"
