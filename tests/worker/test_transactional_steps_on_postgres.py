"""Transactional steps on PostgreSQL: sync and async functions, each in a transaction that its own commit ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest

import keepstep
from keepstep import (
    Engine,
    Retry,
    StatementRefused,
    StepFailed,
    StoreUnavailable,
    TimedOut,
    WorkflowFailed,
    step,
    workflow,
)
from keepstep.journal import Commit, Fenced
from keepstep.journal.postgres import transaction as sessions
from keepstep.journal.postgres.connection import commit_something, open_session
from tests.journal.scene import event, lease, start_owned, wait_until

SCHEMA = """
CREATE TABLE effects (n serial PRIMARY KEY, what text NOT NULL, attempt int NOT NULL);
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
"""

QUICK = Retry(max_attempts=3, initial=0.01)
NOTE = "INSERT INTO effects (what, attempt) VALUES (%s, %s)"

calls: list[str] = []
at_will: dict[str, Any] = {}


@step(transaction=True, retry=QUICK)
async def note_on_postgres(db: psycopg.AsyncConnection[Any], what: str) -> str:
    calls.append(what)
    await db.execute(NOTE, (what, keepstep.step_info().attempt))
    return what


@step(transaction=True, retry=QUICK)
def note_plainly_on_postgres(db: psycopg.Connection[Any], what: str) -> str:
    calls.append(what)
    db.execute(NOTE, (what, keepstep.step_info().attempt))
    return what


@step(transaction=True, retry=QUICK)
async def do_at_will_on_postgres(db: psycopg.AsyncConnection[Any], name: str) -> Any:
    calls.append(name)
    return await at_will[name](db)


@step(transaction=True, retry=QUICK)
def do_plainly_at_will_on_postgres(db: psycopg.Connection[Any], name: str) -> Any:
    calls.append(name)
    return at_will[name](db)


@step(transaction=True, retry=Retry(max_attempts=2, initial=0.01), timeout=0.2)
async def linger_at_will_on_postgres(db: psycopg.AsyncConnection[Any], name: str) -> Any:
    calls.append(name)
    return await at_will[name](db)


@step(transaction=True, retry=Retry(max_attempts=2, initial=0.01), timeout=0.2)
def linger_plainly_on_postgres(db: psycopg.Connection[Any], name: str) -> Any:
    calls.append(name)
    return at_will[name](db)


@step
async def greet_beside_a_transaction(what: str) -> str:
    calls.append(what)
    await asyncio.sleep(0.02)
    return what


STEPS: dict[str, Any] = {
    each.name: each
    for each in (
        do_at_will_on_postgres,
        do_plainly_at_will_on_postgres,
        linger_at_will_on_postgres,
        linger_plainly_on_postgres,
    )
}


@workflow
async def note_all_on_postgres(names: list[str]) -> list[str]:
    return [await (note_on_postgres if n % 2 else note_plainly_on_postgres)(each) for n, each in enumerate(names)]


@workflow
async def note_at_once_on_postgres(names: list[str]) -> list[str]:
    noted = asyncio.gather(*(note_on_postgres(each) for each in names))
    beside, _ = await asyncio.gather(greet_beside_a_transaction("beside"), keepstep.sleep(0.01))
    return [*await noted, beside]


@workflow
async def have_one_done_on_postgres(step_name: str, name: str) -> Any:
    return await STEPS[step_name](name)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()
    at_will.clear()


@pytest.fixture
def db(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        for statement in SCHEMA.strip().split("\n"):
            db.execute(statement.encode())
        yield db


@pytest.fixture
async def engine(postgres_url: str, db: psycopg.Connection[Any]) -> AsyncIterator[Engine]:
    async with Engine(postgres_url) as engine, asyncio.timeout(60):
        yield engine


def effects(db: psycopg.Connection[Any]) -> list[str]:
    return [what for (what,) in db.execute("SELECT what FROM effects ORDER BY n")]


async def cause_of(engine: Engine, step_name: str, name: str) -> BaseException:
    with pytest.raises(WorkflowFailed) as failed:
        await engine.run(have_one_done_on_postgres, step_name, name)
    failure = failed.value.__cause__
    assert isinstance(failure, StepFailed)
    assert failure.uncertain is False
    assert failure.__cause__ is not None
    return failure.__cause__


async def test_the_changes_of_a_step_are_there_with_its_result(engine: Engine, db: psycopg.Connection[Any]) -> None:
    run = await engine.start(note_all_on_postgres, ["a", "b", "c", "d"])
    assert await run.result() == ["a", "b", "c", "d"]
    assert effects(db) == ["a", "b", "c", "d"]
    times = [each.time async for each in run.history()]
    assert times == sorted(times)


async def test_many_at_once_are_each_done_once_and_keep_the_order_of_their_run(
    engine: Engine, db: psycopg.Connection[Any]
) -> None:
    runs = [await engine.start(note_at_once_on_postgres, [f"{n}-{k}" for k in range(4)]) for n in range(15)]
    for n, run in enumerate(runs):
        assert await run.result() == [*(f"{n}-{k}" for k in range(4)), "beside"]
        history = [(each.seq, each.time) async for each in run.history()]
        assert history == sorted(history)
    assert sorted(effects(db)) == sorted(f"{n}-{k}" for n in range(15) for k in range(4))
    assert calls.count("beside") == 15


async def test_an_attempt_that_raises_leaves_nothing_and_is_followed_by_another(
    engine: Engine, db: psycopg.Connection[Any]
) -> None:
    async def fail_twice(own: psycopg.AsyncConnection[Any]) -> int:
        attempt = keepstep.step_info().attempt
        await own.execute(NOTE, ("mine", attempt))
        if attempt < 3:
            raise LookupError("not yet")
        return attempt

    def fail_twice_plainly(own: psycopg.Connection[Any]) -> int:
        attempt = keepstep.step_info().attempt
        own.execute(NOTE, ("mine", attempt))
        if attempt < 3:
            own.execute("no such statement")
        return attempt

    at_will.update(a=fail_twice, b=fail_twice_plainly)
    assert await engine.run(have_one_done_on_postgres, do_at_will_on_postgres.name, "a") == 3
    assert await engine.run(have_one_done_on_postgres, do_plainly_at_will_on_postgres.name, "b") == 3
    assert db.execute("SELECT what, attempt FROM effects").fetchall() == [("mine", 3), ("mine", 3)]


async def test_a_connection_that_is_kept_is_closed(engine: Engine, db: psycopg.Connection[Any]) -> None:
    kept: list[Any] = []

    async def keep(own: psycopg.AsyncConnection[Any]) -> None:
        kept.append(own)
        await own.execute("SET work_mem TO '5MB'")

    def keep_plainly(own: psycopg.Connection[Any]) -> list[Any]:
        kept.append(own)
        return [row[0] for row in own.execute("SHOW work_mem")]

    at_will.update(a=keep, b=keep_plainly)
    await engine.run(have_one_done_on_postgres, do_at_will_on_postgres.name, "a")
    assert await engine.run(have_one_done_on_postgres, do_plainly_at_will_on_postgres.name, "b") != ["5MB"]
    async with asyncio.timeout(10):
        while not all(each.closed for each in kept):  # the run may have ended a moment before
            await asyncio.sleep(0.01)
    with pytest.raises(psycopg.OperationalError, match="closed"):
        await kept[0].execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="closed"):
        kept[1].execute("SELECT 1")
    assert await engine.run(note_all_on_postgres, ["after", "too"]) == ["after", "too"]


@pytest.mark.parametrize("way", ["commit", "rollback", "COMMIT", "ROLLBACK", "swallow"])
async def test_nobody_ends_the_transaction_by_hand(engine: Engine, db: psycopg.Connection[Any], way: str) -> None:
    async def misbehave(own: psycopg.AsyncConnection[Any]) -> None:
        await own.execute(NOTE, ("before", 0))
        if way == "swallow":
            with pytest.raises(psycopg.errors.DivisionByZero):
                await own.execute("SELECT 1/0")
        elif way.islower():
            await getattr(own, way)()
        else:
            await own.execute(way.encode())
            await own.execute(NOTE, ("after", 0))

    at_will["a"] = misbehave
    failure = await cause_of(engine, do_at_will_on_postgres.name, "a")
    if way.isupper():
        assert isinstance(failure, StatementRefused)
        assert calls == ["a"]
    else:
        assert "forbidden within a Transaction" in str(failure) or "which its step has ignored" in str(failure)
        assert effects(db) == []
    assert await engine.run(note_all_on_postgres, ["x", "y"]) == ["x", "y"]


async def test_what_is_found_wrong_at_the_commit_fails_the_attempt(engine: Engine, db: psycopg.Connection[Any]) -> None:
    async def adopt(own: psycopg.AsyncConnection[Any]) -> None:
        await own.execute(NOTE, ("mine", 0))
        await own.execute("INSERT INTO children VALUES (77)")

    at_will["a"] = adopt
    assert "foreign key" in str(await cause_of(engine, do_at_will_on_postgres.name, "a"))
    assert (calls, effects(db)) == (["a"] * 3, [])


async def test_savepoints_are_the_users(engine: Engine, db: psycopg.Connection[Any]) -> None:
    async def try_twice(own: psycopg.AsyncConnection[Any]) -> None:
        with pytest.raises(LookupError):
            async with own.transaction():
                await own.execute(NOTE, ("undone", 0))
                raise LookupError
        async with own.transaction():
            await own.execute(NOTE, ("done", 0))

    at_will["a"] = try_twice
    await engine.run(have_one_done_on_postgres, do_at_will_on_postgres.name, "a")
    assert effects(db) == ["done"]


@pytest.mark.parametrize("plainly", [False, True])
async def test_a_step_that_takes_too_long_is_rolled_back(
    engine: Engine, db: psycopg.Connection[Any], plainly: bool
) -> None:
    gate = threading.Event()

    async def sleep_long(own: psycopg.AsyncConnection[Any]) -> None:
        await own.execute(NOTE, ("late", 0))
        await own.execute("SELECT pg_sleep(20)")

    def go_on(own: psycopg.Connection[Any]) -> None:
        own.execute(NOTE, ("late", 0))
        gate.wait(20)
        try:
            own.execute(NOTE, ("later", 0))
        except psycopg.OperationalError as error:
            calls.append(str(error))

    at_will["a"] = go_on if plainly else sleep_long
    name = (linger_plainly_on_postgres if plainly else linger_at_will_on_postgres).name
    assert isinstance(await cause_of(engine, name, "a"), TimedOut)
    gate.set()
    while plainly and calls.count("the connection is closed") < 2:
        await asyncio.sleep(0.01)
    assert (calls.count("a"), effects(db)) == (2, [])
    assert await engine.run(note_all_on_postgres, ["x", "y"]) == ["x", "y"]


async def test_a_session_that_is_cut_is_no_attempt(engine: Engine, db: psycopg.Connection[Any]) -> None:
    async def lose_three_times(own: psycopg.AsyncConnection[Any]) -> int:
        await own.execute(NOTE, ("mine", 0))
        if len(calls) <= 3:
            await asyncio.to_thread(db.execute, "SELECT pg_terminate_backend(%s)", (own.info.backend_pid,))
        await own.execute(NOTE, ("again", 0))
        return keepstep.step_info().attempt

    at_will["a"] = lose_three_times
    assert await engine.run(have_one_done_on_postgres, do_at_will_on_postgres.name, "a") == 1
    assert (len(calls), effects(db)) == (4, ["mine", "again"])


@pytest.mark.parametrize("happens", [True, False])
async def test_a_commit_of_unknown_outcome_leaves_one_effect(
    engine: Engine, db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, happens: bool
) -> None:
    commit = sessions.PostgresTransaction._commit
    lost: list[Commit] = []

    async def lose(transaction: sessions.PostgresTransaction, asked: Commit) -> Any:
        if len(lost) == 2:
            return await commit(transaction, asked)
        lost.append(asked)
        if happens:
            await commit(transaction, asked)
        raise StoreUnavailable("nobody knows whether it happened")

    monkeypatch.setattr(sessions.PostgresTransaction, "_commit", lose)
    run = await engine.start(note_all_on_postgres, ["a", "b", "c"])
    assert await run.result() == ["a", "b", "c"]
    assert (len(lost), effects(db)) == (2, ["a", "b", "c"])
    assert len(calls) == (3 if happens else 5)


async def test_a_zombie_commits_nothing_of_its_work(engine: Engine, db: psycopg.Connection[Any]) -> None:
    journal = engine.journal
    run = await start_owned(journal)
    async with journal.transaction(is_async=True) as transaction:
        await transaction.connection.execute(NOTE, ("by the zombie", 0))
        await journal.close_lease("L")
        await journal.open_lease(lease("M"))
        [taken] = await journal.claim_runs("M", 10)
        with pytest.raises(Fenced):
            await transaction.commit(Commit(run_id=run.run_id, epoch=run.epoch, events=(event(),)))
    async with journal.transaction(is_async=False) as transaction:
        await asyncio.to_thread(transaction.connection.execute, NOTE, ("by the owner", 0))
        done = await transaction.commit(Commit(run_id=run.run_id, epoch=taken.epoch, events=(event(),), first_seq=2))
    assert (done.last_seq, effects(db)) == (2, ["by the owner"])


async def test_what_is_not_committed_is_rolled_back(engine: Engine, db: psycopg.Connection[Any]) -> None:
    async with engine.journal.transaction(is_async=True) as transaction:
        await transaction.connection.execute(NOTE, ("never mind", 0))
    with pytest.raises(LookupError):
        async with engine.journal.transaction(is_async=True) as transaction:
            await transaction.connection.execute(NOTE, ("never mind", 0))
            raise LookupError
    assert effects(db) == []


async def test_so_many_transactions_at_once_are_enough(engine: Engine, db: psycopg.Connection[Any]) -> None:
    inside, most, is_full = 0, 0, asyncio.Event()

    async def count(own: psycopg.AsyncConnection[Any]) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == sessions.SESSIONS_MAX:
            is_full.set()
        await is_full.wait()
        inside -= 1

    at_will["a"] = count
    await asyncio.gather(*(engine.run(have_one_done_on_postgres, do_at_will_on_postgres.name, "a") for _ in range(30)))
    assert most == sessions.SESSIONS_MAX


@workflow
async def give_up_on_postgres(name: str) -> str:
    try:
        async with asyncio.timeout(0.1):
            return str(await do_at_will_on_postgres(name))
    except TimeoutError:
        return await note_on_postgres("instead")


async def test_what_nobody_waits_for_any_more_is_rolled_back(engine: Engine, db: psycopg.Connection[Any]) -> None:
    async def linger(own: psycopg.AsyncConnection[Any]) -> None:
        await own.execute(NOTE, ("late", 0))
        await asyncio.sleep(20)

    at_will["a"] = linger
    assert await engine.run(give_up_on_postgres, "a") == "instead"
    await wait_until(lambda: not db.execute(IN_TRANSACTION).fetchall())
    assert effects(db) == ["instead"]


IN_TRANSACTION = """
SELECT 1 FROM pg_stat_activity
WHERE application_name = 'keepstep step' AND state LIKE 'idle in%' AND datname = current_database()
"""


async def test_an_engine_that_closes_leaves_no_transaction_open(engine: Engine, db: psycopg.Connection[Any]) -> None:
    begun = asyncio.Event()

    async def linger(own: psycopg.AsyncConnection[Any]) -> str:
        await own.execute(NOTE, ("mine", 0))
        begun.set()
        await asyncio.sleep(0 if calls.count("a") > 1 else 20)
        return "done"

    at_will["a"] = linger
    async with Engine(engine.url, workers=True, queues=("default", "mine")) as other:
        run = await other.start(have_one_done_on_postgres, do_at_will_on_postgres.name, "a", queue="mine")
        await begun.wait()
        assert db.execute(IN_TRANSACTION).fetchall() == [(1,)]
        await other.close(grace_seconds=0.05)
    await wait_until(lambda: not db.execute(IN_TRANSACTION).fetchall())  # the server hears a little later of its end
    assert effects(db) == []
    async with Engine(engine.url, queues=("mine",)) as next_one:
        assert await next_one.get(run.id).result() == "done"
    assert effects(db) == ["mine"]


async def test_another_transaction_in_place_of_its_own_is_found_out(
    engine: Engine, db: psycopg.Connection[Any]
) -> None:
    async def begin_another(own: psycopg.AsyncConnection[Any]) -> None:
        await own.execute("ROLLBACK")
        await own.execute("BEGIN")
        await own.execute(NOTE, ("in another", 0))

    at_will["a"] = begin_another
    assert isinstance(await cause_of(engine, do_at_will_on_postgres.name, "a"), StatementRefused)
    assert effects(db) == []


CUT_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'keepstep step' AND datname = current_database()
"""


async def test_an_idle_session_that_was_cut_is_replaced(engine: Engine, db: psycopg.Connection[Any]) -> None:
    assert await engine.run(note_all_on_postgres, ["a"]) == ["a"]
    cut = db.execute(CUT_SESSIONS)
    assert cut.fetchall() == [(True,)]
    assert await engine.run(note_all_on_postgres, ["b"]) == ["b"]
    assert (calls, effects(db)) == (["a", "b"], ["a", "b"])


async def test_a_commit_that_the_server_has_doubts_about_is_confirmed_first(
    engine: Engine, db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that has stopped to wait for its standby."""
    db.execute(
        "CREATE FUNCTION doubt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'hm'; RETURN NULL; END $$"
    )
    db.execute(
        "CREATE CONSTRAINT TRIGGER doubtful AFTER INSERT ON effects DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION doubt()"
    )
    answers: list[Any] = [psycopg.OperationalError("away"), False]

    def commit_in_vain_first(address: Any) -> bool:
        calls.append("confirm")
        answer = answers.pop(0) if answers else commit_something(address)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(sessions, "CONFIRM_SECONDS", 0.01)
    monkeypatch.setattr(sessions, "commit_something", commit_in_vain_first)
    assert await engine.run(note_all_on_postgres, ["a"]) == ["a"]
    assert (calls, effects(db)) == (["a", *["confirm"] * 3], ["a"])


async def test_whoever_is_cancelled_while_a_session_is_opened_leaves_none_behind(
    engine: Engine, db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, opened = threading.Event(), []

    def open_slowly(address: Any) -> psycopg.Connection[Any]:
        gate.wait(20)
        opened.append(open_session(address))
        return opened[0]

    monkeypatch.setattr(sessions, "open_session", open_slowly)
    waiting = asyncio.ensure_future(engine.journal.transaction(is_async=True).__aenter__())
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    while not (opened and opened[0].closed):
        await asyncio.sleep(0.01)


async def test_a_server_that_gives_out_no_session_is_asked_again(
    engine: Engine, db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [psycopg.errors.TooManyConnections("none left")] * 2

    def refuse_first(address: Any) -> psycopg.Connection[Any]:
        if refusals:
            raise refusals.pop()
        return open_session(address)

    monkeypatch.setattr(sessions, "open_session", refuse_first)
    assert await engine.run(note_all_on_postgres, ["a"]) == ["a"]
    assert (calls, refusals) == (["a"], [])
