"""A start within a user's transaction and one by another process, of the same workflow id, in every order.

Whoever comes second is held where the two cross, by what the first has not committed yet: at the insertion of the run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import psycopg
import pytest

import keepstep
from keepstep import AlreadyStarted, Conflict, Engine, workflow
from keepstep.client.handle import RunHandle
from keepstep.codecs.journal import SealedJournal
from keepstep.journal import StoreUnavailable
from keepstep.journal.narrowed import NarrowedJournal
from keepstep.journal.postgres import PostgresJournal
from keepstep.journal.postgres.wire import ConnectionLost, Wire
from keepstep.journal.writing.drive import ThreadDrive
from tests.journal.postgres.conftest import Standstill, flusher_of
from tests.journal.scene import wait_until

PROMPTLY_SECONDS = 1.0
"""Whoever waits for another's transaction goes on so soon after its end."""


@workflow
async def wait_at_the_crossing(n: int) -> Any:
    return await keepstep.receive("end")


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[Engine]:
    async with Engine(postgres_url) as engine, asyncio.timeout(60):
        yield engine


@pytest.fixture
async def other(engine: Engine) -> AsyncIterator[Engine]:
    """Another process, which executes nothing."""
    async with Engine(engine.url, workers=False) as other:
        yield other


@pytest.fixture
def user(engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(engine.url) as connection:
        yield connection


@pytest.fixture
def db(engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(engine.url, autocommit=True) as connection:
        yield connection


def is_held(db: psycopg.Connection[Any], pid: int | None = None) -> bool:
    """Whether a session, or a writer, waits for another's transaction."""
    who = "application_name = 'keepstep writer'" if pid is None else f"pid = {pid}"
    query = f"SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND {who}"
    return db.execute(query.encode()).fetchone() is not None


async def open_runs(engine: Engine, id: str = "one") -> list[str | None]:
    return [run.run_id async for run in engine.list(f"WorkflowId = '{id}' AND Status = 'running'")]


async def close_one(engine: Engine) -> RunHandle[Any]:
    """Leave a closed run of the id."""
    closed = await engine.start(wait_at_the_crossing, 1, id="one")
    await closed.signal("end")
    await closed.result()
    return closed


Outcome = RunHandle[Any] | BaseException


async def outcome_of(starting: asyncio.Future[RunHandle[Any]]) -> Outcome:
    began = time.monotonic()
    await asyncio.wait((starting,))
    assert time.monotonic() - began < PROMPTLY_SECONDS
    return starting.exception() or starting.result()


def run_id_of(outcome: Outcome) -> str | None:
    assert isinstance(outcome, RunHandle), outcome
    return outcome.run_id


@pytest.mark.parametrize("if_running", ["attach", "reject"])
@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_a_start_waits_for_what_becomes_of_one_in_a_users_transaction(
    engine: Engine,
    other: Engine,
    user: psycopg.Connection[Any],
    db: psycopg.Connection[Any],
    if_running: Any,
    ends: str,
) -> None:
    first = await engine.start(wait_at_the_crossing, 1, id="one", connection=user)
    later = asyncio.ensure_future(other.start(wait_at_the_crossing, 1, id="one", if_running=if_running))
    await wait_until(lambda: is_held(db))
    getattr(user, ends)()
    outcome = await outcome_of(later)
    if ends == "rollback":
        assert await open_runs(engine) == [run_id_of(outcome)] != [first.run_id]
        return
    assert await open_runs(engine) == [first.run_id]
    if if_running == "attach":
        assert run_id_of(outcome) == first.run_id
    else:
        assert isinstance(outcome, AlreadyStarted)


@pytest.mark.parametrize("if_running", ["attach", "reject"])
async def test_a_start_in_a_users_transaction_waits_for_one_that_is_being_written(
    engine: Engine,
    other: Engine,
    user: psycopg.Connection[Any],
    db: psycopg.Connection[Any],
    if_running: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await other.journal.list_leases()
    standstill = Standstill(monkeypatch)
    first = asyncio.ensure_future(other.start(wait_at_the_crossing, 1, id="one"))
    await standstill.reached()
    later = asyncio.ensure_future(
        engine.start(wait_at_the_crossing, 1, id="one", if_running=if_running, connection=user)
    )
    await wait_until(lambda: is_held(db, user.info.backend_pid))
    standstill.end()
    outcome = await outcome_of(later)
    user.commit()
    assert await open_runs(engine) == [(await first).run_id]
    if if_running == "attach":
        assert run_id_of(outcome) == (await first).run_id
    else:
        assert isinstance(outcome, AlreadyStarted)


@pytest.mark.parametrize("if_closed", ["attach", "reject", "restart"])
async def test_a_start_beside_a_restart_in_a_users_transaction_goes_by_what_is_committed(
    engine: Engine, other: Engine, user: psycopg.Connection[Any], db: psycopg.Connection[Any], if_closed: Any
) -> None:
    """One that does not restart has to do with the closed run alone, and waits for nobody."""
    closed = await close_one(engine)
    anew = await engine.start(wait_at_the_crossing, 1, id="one", if_closed="restart", connection=user)
    later = asyncio.ensure_future(other.start(wait_at_the_crossing, 1, id="one", if_closed=if_closed))
    if if_closed == "restart":
        await wait_until(lambda: is_held(db))
        user.commit()
    outcome = await outcome_of(later)
    user.commit()
    assert await open_runs(engine) == [anew.run_id] != [closed.run_id]
    if if_closed == "reject":
        assert isinstance(outcome, AlreadyStarted)
    else:
        assert run_id_of(outcome) == (anew if if_closed == "restart" else closed).run_id


async def test_starts_of_two_ids_in_opposite_orders_do_not_wait_for_each_other_for_ever(
    engine: Engine, other: Engine, user: psycopg.Connection[Any], db: psycopg.Connection[Any]
) -> None:
    """The server ends one of two that wait in a circle: a process does it again, a user is told to."""
    await engine.start(wait_at_the_crossing, 1, id="one", connection=user)
    both = [asyncio.ensure_future(other.start(wait_at_the_crossing, 1, id=id)) for id in ("two", "one")]
    await wait_until(lambda: is_held(db))
    try:
        await engine.start(wait_at_the_crossing, 1, id="two", connection=user)
        user.commit()
    except Conflict:
        user.rollback()
    started = await asyncio.gather(*both)
    for id, run in zip(("two", "one"), started, strict=True):
        assert await open_runs(engine, id) == [run.run_id]


async def test_what_else_a_process_does_goes_on_while_a_start_of_its_waits_for_a_user(
    engine: Engine, other: Engine, user: psycopg.Connection[Any], db: psycopg.Connection[Any]
) -> None:
    first = await engine.start(wait_at_the_crossing, 1, id="one", connection=user)
    waiting = [asyncio.ensure_future(other.start(wait_at_the_crossing, 1, id="one")) for _ in range(3)]
    await wait_until(lambda: is_held(db))
    began = time.monotonic()
    for n in range(20):
        await other.start(wait_at_the_crossing, 1, id=f"beside-{n}")
        await other.get(f"beside-{n}").signal("end")
    assert time.monotonic() - began < 3
    assert not any(each.done() for each in waiting)
    user.commit()
    assert {run_id_of(await outcome_of(each)) for each in waiting} == {first.run_id}


async def test_a_start_that_was_put_off_is_not_taken_for_done_when_the_answer_to_a_commit_is_lost(
    engine: Engine, other: Engine, user: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await engine.start(wait_at_the_crossing, 1, id="one", connection=user)
    standstill = Standstill(monkeypatch)
    before = asyncio.ensure_future(other.start(wait_at_the_crossing, 1, id="before"))
    await standstill.reached()
    both = [asyncio.ensure_future(other.start(wait_at_the_crossing, 1, id=id)) for id in ("one", "beside")]
    journal = cast(NarrowedJournal, cast(SealedJournal, other.journal)._journal)._journal
    assert isinstance(journal, PostgresJournal)
    drive = journal._drive
    assert isinstance(drive, ThreadDrive)
    await wait_until(lambda: drive._queue.qsize() >= 2)
    writer, commit, lost = flusher_of(journal)._tables.wire, Wire.commit, list[int]()

    def lose_the_answer(wire: Wire) -> Any:
        results = commit(wire)
        if wire is writer and not lost:
            lost.append(1)
            wire.close()
            raise ConnectionLost("cut off")
        return results

    monkeypatch.setattr(Wire, "commit", lose_the_answer)
    standstill.end()
    await asyncio.gather(before, both[1])
    assert lost
    assert await open_runs(engine, "beside") == [both[1].result().run_id]
    assert not both[0].done()
    user.commit()
    assert run_id_of(await outcome_of(both[0])) == first.run_id


async def test_a_process_that_closes_does_not_wait_for_a_users_transaction_for_ever(
    engine: Engine, user: psycopg.Connection[Any], db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepstep.journal.writing.writer.CLOSE_SECONDS_MAX", 0.3)
    await engine.start(wait_at_the_crossing, 1, id="one", connection=user)
    async with Engine(engine.url, workers=False) as other:
        held = asyncio.ensure_future(other.start(wait_at_the_crossing, 1, id="one"))
        await wait_until(lambda: is_held(db))
    with pytest.raises(StoreUnavailable, match="others hold it up, and the store is closing"):
        await held
