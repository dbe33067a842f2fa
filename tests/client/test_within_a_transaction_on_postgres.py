"""Runs and signals within a transaction of the user's own, on PostgreSQL, by each driver and by SQL alone."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

import keepstep
from keepstep import AlreadyStarted, Conflict, Engine, InvalidInput, NotFound, RunClosed, workflow
from keepstep.journal.postgres.shard import shard_of
from tests.journal.scene import wait_until

POLL_SECONDS = 20.0
PROMPTLY_SECONDS = POLL_SECONDS / 2
"""What is there sooner, no poll has brought."""


@workflow
async def echo_on_postgres(what: Any) -> Any:
    return what


@workflow
async def echo_what_is_said_on_postgres() -> Any:
    return await keepstep.receive("said")


@workflow(timeout=0.05)
async def wait_in_vain_on_postgres() -> None:
    await keepstep.receive("never")


class User:
    """A connection of somebody's, by one of the drivers."""

    def __init__(self, connection: Any, begin: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        self.connection = connection
        self.begin = begin

    async def order(self, name: str) -> None:
        statement = "INSERT INTO orders VALUES ($1)"
        if isinstance(self.connection, asyncpg.Connection):
            await self.connection.execute(statement, name)
        elif isinstance(self.connection, psycopg.AsyncConnection):
            await self.connection.execute("INSERT INTO orders VALUES (%s)", (name,))
        else:
            await asyncio.to_thread(self.connection.execute, "INSERT INTO orders VALUES (%s)", (name,))


@asynccontextmanager
async def by_asyncpg(url: str) -> AsyncIterator[User]:
    connection = await asyncpg.connect(url)
    yield User(connection, connection.transaction)
    await connection.close()


@asynccontextmanager
async def by_psycopg(url: str) -> AsyncIterator[User]:
    """Not in autocommit, and with rows of its own kind."""
    connection: Any = await psycopg.AsyncConnection.connect(url, row_factory=dict_row)

    @asynccontextmanager
    async def begin() -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            await connection.rollback()
            raise
        await connection.commit()

    yield User(connection, begin)
    await connection.close()


@asynccontextmanager
async def by_plain_psycopg(url: str) -> AsyncIterator[User]:
    connection: Any = await asyncio.to_thread(lambda: psycopg.connect(url, autocommit=True))

    @asynccontextmanager
    async def begin() -> AsyncIterator[None]:
        with connection.transaction():
            yield

    yield User(connection, begin)
    connection.close()


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[Engine]:
    with psycopg.connect(postgres_url) as db:
        db.execute("CREATE TABLE orders (id text PRIMARY KEY)")
    async with Engine(postgres_url, poll_seconds=POLL_SECONDS) as engine, asyncio.timeout(60):
        yield engine


@pytest.fixture(params=[by_asyncpg, by_psycopg, by_plain_psycopg])
async def user(request: pytest.FixtureRequest, engine: Engine) -> AsyncIterator[User]:
    async with request.param(engine.url) as made:
        yield made


@pytest.fixture
def db(engine: Engine) -> Any:
    with psycopg.connect(engine.url, autocommit=True) as db:
        yield db


def orders(db: psycopg.Connection[Any]) -> list[str]:
    return [id for (id,) in db.execute("SELECT id FROM orders ORDER BY id")]


async def test_a_run_is_there_once_the_transaction_is_committed(engine: Engine, user: User, db: Any) -> None:
    async with user.begin():
        await user.order("one")
        run = await engine.start(echo_on_postgres, "one", id="one", attributes={"n": 1}, connection=user.connection)
        with pytest.raises(NotFound):
            await run.describe()
    began = time.monotonic()
    assert await run.result() == "one"
    assert time.monotonic() - began < PROMPTLY_SECONDS
    assert (await run.describe()).attributes == {"n": 1}
    assert orders(db) == ["one"]


async def test_a_transaction_that_is_rolled_back_leaves_nothing(engine: Engine, user: User, db: Any) -> None:
    waiting = await engine.start(echo_what_is_said_on_postgres, id="waiting")
    with pytest.raises(ZeroDivisionError):
        async with user.begin():
            await user.order("one")
            run = await engine.start(echo_on_postgres, "one", id="one", connection=user.connection)
            await waiting.signal("said", "never", id="never", connection=user.connection)
            _ = 1 / 0
    assert orders(db) == []
    with pytest.raises(NotFound):
        await run.describe()
    await waiting.signal("said", "later", id="never")  # the id is not taken
    assert await waiting.result() == "later"
    assert await engine.run(echo_on_postgres, "one again", id="one") == "one again"
    assert await engine.count() == 2


async def test_a_signal_arrives_with_the_commit_once(engine: Engine, user: User) -> None:
    run = await engine.start(echo_what_is_said_on_postgres, id="waiting")
    async with user.begin():
        await run.signal("said", "hello", id="a", connection=user.connection)
        await run.signal("said", "hello twice", id="a", connection=user.connection)
        await engine.signal("waiting", "more", connection=user.connection)
    began = time.monotonic()
    assert await run.result() == "hello"
    assert time.monotonic() - began < PROMPTLY_SECONDS


async def test_a_sleeper_is_woken_by_a_commit(engine: Engine, user: User) -> None:
    async with Engine(engine.url, idle_runs_max=0, poll_seconds=30.0) as other:
        run = await other.start(echo_what_is_said_on_postgres, id="sleeper")
        while await owner_of(engine, run.run_id) is not None:
            await asyncio.sleep(0.02)
        async with user.begin():
            await engine.signal("sleeper", "said", "wake up", connection=user.connection)
        assert await run.result(timeout=10) == "wake up"


async def owner_of(engine: Engine, run_id: str | None) -> str | None:
    run = await engine.journal.read_run(run_id or "")
    assert run is not None
    return run.owner


async def test_an_id_is_taken_as_by_any_other_start(engine: Engine, user: User, db: Any) -> None:
    first = await engine.start(echo_on_postgres, "one", id="one")
    await first.result()
    async with user.begin():
        await user.order("one")
        again = await engine.start(echo_on_postgres, "one", id="one", connection=user.connection)
        assert again.run_id == first.run_id
        with pytest.raises(AlreadyStarted):
            await engine.start(echo_on_postgres, "another", id="one", connection=user.connection)
        with pytest.raises(AlreadyStarted):
            await engine.start(echo_on_postgres, "one", id="one", if_closed="reject", connection=user.connection)
        with pytest.raises(RunClosed):
            await first.signal("said", "too late", connection=user.connection)
        with pytest.raises(NotFound):
            await engine.signal("nobody", "said", "x", connection=user.connection)
        anew = await engine.start(echo_on_postgres, "two", id="one", if_closed="restart", connection=user.connection)
        same = await engine.start(echo_on_postgres, "two", id="one", connection=user.connection)
        assert same.run_id == anew.run_id != first.run_id
        with pytest.raises(InvalidInput, match="by force"):
            await engine.start(echo_on_postgres, "3", id="one", if_running="restart", connection=user.connection)
    assert orders(db) == ["one"]
    assert await anew.result() == "two"
    assert [each.run_id async for each in engine.list()] == [anew.run_id, first.run_id]


async def test_of_two_transactions_with_one_id_the_second_attaches(engine: Engine) -> None:
    async with by_asyncpg(engine.url) as first, by_asyncpg(engine.url) as second:
        transaction = first.connection.transaction()
        await transaction.start()
        run = await engine.start(echo_on_postgres, 1, id="one", connection=first.connection)
        async with second.begin():
            later = asyncio.ensure_future(engine.start(echo_on_postgres, 1, id="one", connection=second.connection))
            done, _ = await asyncio.wait((later,), timeout=0.1)
            assert not done, "it waits for what becomes of the first"
            await transaction.commit()
            assert (await later).run_id == run.run_id
    assert await run.result() == 1
    assert await engine.count() == 1


@pytest.mark.parametrize("if_closed", ["attach", "reject", "restart"])
@pytest.mark.parametrize("is_second", [False, True])
async def test_a_run_that_came_and_went_while_another_start_of_its_id_was_on_its_way_is_not_overlooked(
    engine: Engine, db: Any, if_closed: str, is_second: bool
) -> None:
    """The start finds no open run, waits at its insertion for one that is not committed yet, and that one ends."""
    if is_second:
        await engine.run(echo_on_postgres, "one", id="one")
    starting = f"start_workflow('echo_on_postgres', '[\"one\"]', 'one', if_closed => '{if_closed}')"
    with psycopg.connect(engine.url) as other, psycopg.connect(engine.url, autocommit=True) as late:
        passing = call(other, "start_workflow('echo_on_postgres', '[\"one\"]', 'one', if_closed => 'restart')")
        later = asyncio.ensure_future(asyncio.to_thread(call, late, starting))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        await wait_until(lambda: later.done() or db.execute(waits, (late.info.backend_pid,)).fetchone() == (1,))
        if is_second and if_closed != "restart":  # it has found the first one, and minds no other
            outcome = (await asyncio.gather(later, return_exceptions=True))[0]
            assert isinstance(outcome, psycopg.errors.UniqueViolation if if_closed == "reject" else str)
            return
        other.execute("UPDATE keepstep.runs SET status = 1, closed_at = 1, wake_at = NULL WHERE status = 0")
        other.commit()
        if if_closed == "reject":
            with pytest.raises(psycopg.errors.UniqueViolation, match="exists"):
                await later
        elif if_closed == "attach":
            assert await later == passing
        else:
            assert await later != passing
    assert await engine.count() == 1 + is_second + (if_closed == "restart")


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_a_transaction_that_does_not_see_the_newest_state_starts_nothing(
    engine: Engine, db: Any, isolation: str
) -> None:
    async with by_asyncpg(engine.url) as user:
        with pytest.raises(InvalidInput, match=f"started in a {isolation} .*READ COMMITTED"):
            async with user.connection.transaction(isolation=isolation.replace(" ", "_")):
                await user.order("one")  # its snapshot is taken
                await engine.run(echo_on_postgres, "one", id="one")
                await engine.start(echo_on_postgres, "one", id="one", connection=user.connection)
        async with user.connection.transaction(isolation=isolation.replace(" ", "_")):
            same = await engine.start(echo_on_postgres, "one", id="one", connection=user.connection)
            assert await same.result() == "one", "it attaches to what it sees"
    assert (await engine.count(), orders(db)) == (1, [])


@pytest.mark.parametrize("what", ["start", "signal"])
async def test_a_connection_to_something_else_is_refused(engine: Engine, postgres_server: Any, what: str) -> None:
    async def use(connection: Any) -> None:
        if what == "start":
            await engine.start(echo_on_postgres, "x", id="x", connection=connection)
        else:
            await engine.signal("x", "said", "x", connection=connection)

    name = f"elsewhere_{what}"
    elsewhere = postgres_server.create_database(name)
    try:
        async with by_psycopg(elsewhere) as user:
            with pytest.raises(InvalidInput, match="cannot reach the journal"):
                async with user.begin():
                    await use(user.connection)
            async with Engine(elsewhere, workers=False):
                with pytest.raises(InvalidInput, match="another database"):
                    async with user.begin():
                        await use(user.connection)
    finally:
        postgres_server.drop_database(name)
    async with by_asyncpg(engine.url) as idle, by_plain_psycopg(engine.url) as plain:
        for connection in (idle.connection, plain.connection):
            with pytest.raises(InvalidInput, match="not in a transaction"):
                await use(connection)
        plain.connection.execute("BEGIN")
        with pytest.raises(psycopg.errors.DivisionByZero):
            plain.connection.execute("SELECT 1/0")
        with pytest.raises(InvalidInput, match="has failed"):
            await use(plain.connection)
    with pytest.raises(InvalidInput, match=r"psycopg \(plain or async\) or asyncpg, not builtins.str"):
        await use("postgresql://")
    assert await engine.count() == 0


# by SQL alone


def call(db: Any, expression: str, *values: Any) -> Any:
    return db.execute(f"SELECT keepstep.{expression}", values).fetchone()[0]


async def test_a_workflow_is_started_and_told_something_by_sql(engine: Engine, db: Any) -> None:
    with db.transaction():
        db.execute("INSERT INTO orders VALUES ('one')")
        run_id = call(db, "start_workflow('echo_what_is_said_on_postgres', id => 'by-sql', attributes => '{\"a\": 1}')")
        assert call(db, "send_signal('by-sql', 'said', '{\"deep\": [1, \"ä\"]}', 'm1')") is True
        assert call(db, "send_signal('by-sql', 'said', '2', message_id => 'm1')") is False
    began = time.monotonic()
    assert await engine.get("by-sql").result() == {"deep": [1, "ä"]}
    assert time.monotonic() - began < PROMPTLY_SECONDS
    info = await engine.get("by-sql").describe()
    assert (info.run_id, info.attributes) == (run_id, {"a": 1})
    assert [found.id async for found in engine.list("a = 1")] == ["by-sql"]
    assert uuid.UUID(run_id).version == 7
    assert abs(uuid.UUID(run_id).int >> 80) // 1000 == pytest.approx(time.time(), abs=60)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        call(db, "send_signal('by-sql', 'said')")
    with pytest.raises(psycopg.errors.NoDataFound):
        call(db, "send_signal('nobody', 'said')")


@pytest.mark.parametrize("argument", [1, [1.5, None, True], {"ä": "\n'"}, "x" * 300, "y" * 70_000])
async def test_arguments_are_the_same_from_sql_and_from_python(engine: Engine, db: Any, argument: Any) -> None:
    given = Jsonb([argument])
    by_sql = call(db, "start_workflow('echo_on_postgres', %s, 'a')", given)
    assert call(db, "start_workflow('echo_on_postgres', %s, 'a')", given) == by_sql
    run = await engine.start(echo_on_postgres, argument, id="a")
    assert (run.run_id, await run.result()) == (by_sql, argument)
    with pytest.raises(AlreadyStarted):
        await engine.start(echo_on_postgres, "other", id="a")
    by_python = await engine.start(echo_on_postgres, argument, id="b")
    assert call(db, "start_workflow('echo_on_postgres', %s, 'b')", given) == by_python.run_id
    with pytest.raises(psycopg.errors.UniqueViolation, match="another type or input"):
        call(db, "start_workflow('echo_on_postgres', '[\"other\"]', 'b')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        call(db, "start_workflow('echo_on_postgres', %s, 'b', if_running => 'reject', if_closed => 'reject')", given)
    await by_python.result()
    again = call(db, "start_workflow('echo_on_postgres', %s, 'b', if_closed => 'restart')", given)
    assert again != by_python.run_id
    assert await engine.get("b").result() == argument


async def test_what_a_worker_has_published_holds_for_sql_too(engine: Engine, db: Any) -> None:
    call(db, "start_workflow('wait_in_vain_on_postgres', id => 'vain')")
    with pytest.raises(keepstep.TimedOut, match="workflow"):
        await engine.get("vain").result()
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="no worker has published a workflow 'unheard_of'"):
        call(db, "start_workflow('unheard_of')")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("'echo_on_postgres', '{\"what\": 1}'", psycopg.errors.InvalidParameterValue),
        ("'echo_on_postgres', '1'", psycopg.errors.InvalidParameterValue),
        ("'echo_on_postgres', '[]', ''", psycopg.errors.InvalidParameterValue),
        ("'echo_on_postgres', '[]', repeat('x', 513)", psycopg.errors.InvalidParameterValue),
        ("''", psycopg.errors.InvalidParameterValue),
        ("'echo_on_postgres', if_running => 'restart'", psycopg.errors.InvalidParameterValue),
        ("'echo_on_postgres', jsonb_build_array(repeat('x', 2097152))", psycopg.errors.ProgramLimitExceeded),
    ],
)
async def test_what_cannot_be_started_by_sql_is_refused(engine: Engine, db: Any, arguments: str, error: Any) -> None:
    with pytest.raises(error):
        call(db, f"start_workflow({arguments})")
    assert await engine.count() == 0


async def test_sql_tells_shards_as_python_does(engine: Engine, db: Any) -> None:
    for namespace, workflow_id in (("default", "a"), ("ä", "order-42"), ("n", "x" * 500)):
        shard = call(db, "shard_of(%s, %s)", namespace, workflow_id)
        assert shard == shard_of(namespace, workflow_id, 16)


async def test_only_those_may_call_who_are_granted_it(engine: Engine, db: Any) -> None:
    db.execute("CREATE ROLE app_of_somebody")
    try:
        db.execute("GRANT USAGE ON SCHEMA keepstep TO app_of_somebody")
        db.execute("SET ROLE app_of_somebody")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            call(db, "start_workflow('echo_on_postgres', '[1]', 'mine')")
        db.execute("RESET ROLE")
        db.execute("GRANT EXECUTE ON FUNCTION keepstep.start_workflow, keepstep.send_signal TO app_of_somebody")
        db.execute("SET ROLE app_of_somebody")
        call(db, "start_workflow('echo_on_postgres', '[1]', 'mine')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute("SELECT * FROM keepstep.runs")
        db.execute("RESET ROLE")
        assert await engine.get("mine").result() == 1
        db.execute("GRANT EXECUTE ON FUNCTION keepstep.start_run, keepstep.send_message TO app_of_somebody")
        with db.transaction():
            db.execute("SET LOCAL ROLE app_of_somebody")
            run = await engine.start(echo_what_is_said_on_postgres, id="also-mine", connection=db)
            await run.signal("said", "thank you", connection=db)
        assert await run.result() == "thank you"
    finally:
        db.execute("RESET ROLE")
        db.execute("DROP OWNED BY app_of_somebody")
        db.execute("DROP ROLE app_of_somebody")


async def test_a_transaction_that_is_open_for_long_keeps_nobody_waiting(engine: Engine, user: User) -> None:
    run = await engine.start(echo_what_is_said_on_postgres, id="waiting")
    await engine.run(echo_on_postgres, "closed", id="closed")
    with pytest.raises((psycopg.Error, asyncpg.PostgresError), match="was closed before the transaction"):
        async with user.begin():
            await run.signal("said", "too late", connection=user.connection)
            same = await engine.start(echo_on_postgres, "closed", id="closed", connection=user.connection)
            await engine.get("waiting").signal("said", "in time")
            assert await run.result() == "in time"
            assert await same.result() == "closed"
    assert await engine.count() == 2


async def test_what_happens_at_the_commit_is_the_users_to_do_again(engine: Engine, db: Any) -> None:
    run = await engine.start(echo_what_is_said_on_postgres, id="waiting")
    async with by_asyncpg(engine.url) as user:
        await user.connection.execute("SET lock_timeout TO 50")
        with db.transaction():
            db.execute("SELECT * FROM keepstep.runs FOR UPDATE")
            with pytest.raises(asyncpg.LockNotAvailableError):
                async with user.begin():
                    await run.signal("said", "x", connection=user.connection)
        async with user.begin():
            await run.signal("said", "y", connection=user.connection)
    assert await run.result() == "y"


async def test_a_start_that_meets_another_is_told_to_begin_anew(engine: Engine) -> None:
    async with by_asyncpg(engine.url) as first, by_asyncpg(engine.url) as second:
        await second.connection.execute("SET lock_timeout TO 50")
        async with first.begin():
            await engine.start(echo_on_postgres, 1, id="one", connection=first.connection)
            with pytest.raises(Conflict, match="do your transaction again"):
                async with second.begin():
                    await engine.start(echo_on_postgres, 1, id="one", connection=second.connection)
    assert await engine.count() == 1
