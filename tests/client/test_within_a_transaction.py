"""Runs and signals within a transaction of the user's own, on SQLite: there with its commit, and else not at all."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import (
    AlreadyStarted,
    Conflict,
    Engine,
    InvalidInput,
    NotFound,
    Overloaded,
    RunClosed,
    Unsupported,
    workflow,
)

POLL_SECONDS = 20.0
PROMPTLY_SECONDS = POLL_SECONDS / 2
"""What is there sooner, no poll has brought."""


@workflow
async def echo_it(what: str) -> str:
    return what


@workflow
async def echo_what_is_said() -> str:
    return await keepstep.receive("said", str)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
async def engine(file: Path) -> AsyncIterator[Engine]:
    async with Engine(f"sqlite:///{file}", poll_seconds=POLL_SECONDS) as engine, asyncio.timeout(60):
        with sqlite3.connect(file) as db:
            db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY)")
        yield engine


@pytest.fixture
def db(engine: Engine, file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file)


def orders(db: sqlite3.Connection) -> list[str]:
    return [id for (id,) in db.execute("SELECT id FROM orders ORDER BY id")]


async def test_a_run_is_there_once_the_transaction_is_committed(engine: Engine, db: sqlite3.Connection) -> None:
    with db:
        db.execute("INSERT INTO orders VALUES ('one')")
        run = await engine.start(echo_it, "one", id="one", connection=db)
        with pytest.raises(NotFound):
            await run.describe()
    began = time.monotonic()
    assert await run.result() == "one"
    assert time.monotonic() - began < PROMPTLY_SECONDS
    assert orders(db) == ["one"]


async def test_a_transaction_that_is_rolled_back_leaves_nothing(engine: Engine, db: sqlite3.Connection) -> None:
    waiting = await engine.start(echo_what_is_said, id="waiting")
    with pytest.raises(ZeroDivisionError), db:
        db.execute("INSERT INTO orders VALUES ('one')")
        run = await engine.start(echo_it, "one", id="one", connection=db)
        await waiting.signal("said", "never", id="never", connection=db)
        _ = 1 / 0
    assert orders(db) == []
    with pytest.raises(NotFound):
        await run.describe()
    await waiting.signal("said", "later", id="never")  # the id is not taken
    assert await waiting.result() == "later"
    assert await engine.count() == 1
    assert await engine.run(echo_it, "one again", id="one") == "one again"


@pytest.mark.parametrize("by_engine", [True, False])
async def test_a_signal_arrives_with_the_commit(engine: Engine, db: sqlite3.Connection, by_engine: bool) -> None:
    run = await engine.start(echo_what_is_said, id="waiting")
    with db:
        db.execute("INSERT INTO orders VALUES ('one')")
        if by_engine:
            await engine.signal("waiting", "said", "hello", connection=db)
        else:
            await run.signal("said", "hello", id="a", connection=db)
            await run.signal("said", "hello twice", id="a", connection=db)
        with pytest.raises(TimeoutError):
            await run.result(timeout=0.05)
    began = time.monotonic()
    assert await run.result() == "hello"
    assert time.monotonic() - began < PROMPTLY_SECONDS


async def test_a_run_may_be_started_and_told_something_in_one_transaction(
    engine: Engine, db: sqlite3.Connection
) -> None:
    with db:
        run = await engine.start(echo_what_is_said, id="both", connection=db)
        await run.signal("said", "at once", connection=db)
        await engine.signal("both", "said", "too late", connection=db)
    assert await run.result() == "at once"


async def test_an_id_is_taken_as_by_any_other_start(engine: Engine, db: sqlite3.Connection) -> None:
    first = await engine.start(echo_it, "one", id="one")
    await first.result()
    with db:
        db.execute("INSERT INTO orders VALUES ('one')")
        again = await engine.start(echo_it, "one", id="one", connection=db)
        assert again.run_id == first.run_id
        with pytest.raises(AlreadyStarted):
            await engine.start(echo_it, "another", id="one", connection=db)
        with pytest.raises(AlreadyStarted):
            await engine.start(echo_it, "one", id="one", if_closed="reject", connection=db)
        with pytest.raises(RunClosed):
            await first.signal("said", "too late", connection=db)
        with pytest.raises(NotFound):
            await engine.signal("nobody", "said", "to nobody", connection=db)
        anew = await engine.start(echo_it, "two", id="one", if_closed="restart", connection=db)
        same = await engine.start(echo_it, "two", id="one", connection=db)
        assert same.run_id == anew.run_id != first.run_id
    assert orders(db) == ["one"]
    assert await anew.result() == "two"
    with pytest.raises(InvalidInput, match="by force"):
        await engine.start(echo_it, "three", id="one", if_running="restart", connection=db)
    assert not db.in_transaction


async def test_the_users_way_with_rows_is_kept(engine: Engine, db: sqlite3.Connection) -> None:
    def by_name(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
        return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}

    db.row_factory, db.text_factory = by_name, bytes
    with db:
        run = await engine.start(echo_it, "one", id="one", connection=db)
        assert db.execute("SELECT 'x' AS y").fetchone() == {"y": b"x"}
    assert await run.result() == "one"


async def test_workers_in_other_processes_take_what_was_committed(engine: Engine, file: Path) -> None:
    """A client without a worker; the other one's hint travels between the two."""
    async with Engine(f"sqlite:///{file}", workers=False) as client:
        db = sqlite3.connect(file)
        began = time.monotonic()
        for n in range(5):
            with db:
                run = await client.start(echo_it, f"{n}", connection=db)
            assert await run.result() == f"{n}"
        assert time.monotonic() - began < PROMPTLY_SECONDS


async def test_a_commit_that_comes_late_is_found_all_the_same(file: Path) -> None:
    async with Engine(f"sqlite:///{file}") as engine, asyncio.timeout(60):
        db = sqlite3.connect(file)
        run = await engine.start(echo_it, "one", id="one", connection=db)
        await asyncio.sleep(1.5)  # for longer than anybody looks
        db.commit()
        assert await run.result() == "one"


async def test_a_connection_that_is_closed_takes_its_transaction_with_it(engine: Engine, file: Path) -> None:
    db = sqlite3.connect(file)
    await engine.start(echo_it, "one", id="one", connection=db)
    db.close()
    assert await engine.run(echo_it, "two", id="one") == "two"


@pytest.mark.parametrize("what", ["start", "signal"])
async def test_a_connection_to_something_else_is_refused(engine: Engine, file: Path, tmp_path: Path, what: str) -> None:
    async def use(connection: Any) -> None:
        if what == "start":
            await engine.start(echo_it, "x", id="x", connection=connection)
        else:
            await engine.signal("x", "said", "x", connection=connection)

    elsewhere, nowhere = sqlite3.connect(tmp_path / "other.db"), sqlite3.connect(":memory:")
    by_hand, closed = sqlite3.connect(file, isolation_level=None), sqlite3.connect(file)
    closed.close()
    for connection, said in (
        (elsewhere, "is open on .*other.db, and the journal is in .*shop.db"),
        (nowhere, "is open on no file"),
        (by_hand, "not in a transaction"),
        (closed, "cannot be used here"),
        ("shop.db", "is a sqlite3.Connection, not str"),
    ):
        with pytest.raises(InvalidInput, match=said):
            await use(connection)
    with ThreadsConnection(file) as foreign, pytest.raises(InvalidInput, match="thread"):
        await use(foreign)
    assert await engine.count() == 0


class ThreadsConnection:
    """A connection that belongs to another thread."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> sqlite3.Connection:
        made: list[sqlite3.Connection] = []
        maker = threading.Thread(target=lambda: made.append(sqlite3.connect(self._file)))
        maker.start()
        maker.join()
        return made[0]

    def __exit__(self, *_: object) -> None:
        """It ends with its garbage."""


async def test_a_transaction_that_can_write_no_more_is_told_so(engine: Engine, file: Path) -> None:
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("BEGIN")
    db.execute("SELECT * FROM orders").fetchall()
    await engine.run(echo_it, "meanwhile")
    with pytest.raises(Conflict, match="BEGIN IMMEDIATE"):
        await engine.start(echo_it, "one", id="one", connection=db)
    db.execute("ROLLBACK")
    db.execute("BEGIN IMMEDIATE")
    run = await engine.start(echo_it, "one", id="one", connection=db)
    db.execute("COMMIT")
    assert await run.result() == "one"


async def test_a_database_that_others_keep_locked_is_told_so(engine: Engine, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for connection in (sqlite3.connect(file, timeout=0), sqlite3.connect(file, timeout=0, isolation_level=None)):
        if connection.isolation_level is None:
            connection.execute("BEGIN")
        with pytest.raises(Overloaded, match="longer timeout"):
            await engine.start(echo_it, "one", id="one", connection=connection)
        connection.rollback()
    other.execute("ROLLBACK")
    assert await engine.count() == 0


async def test_a_start_that_fails_leaves_the_users_transaction_as_it_was(
    engine: Engine, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keepstep.journal.sqlite import tables

    def write_half(connection: sqlite3.Connection, drawing: Any) -> None:
        connection.execute("INSERT INTO orders VALUES ('half')")
        raise sqlite3.OperationalError("something is wrong")

    with db:
        db.execute("INSERT INTO orders VALUES ('one')")
        with monkeypatch.context() as patch:
            patch.setattr(tables, "write_drawing", write_half)
            with pytest.raises(sqlite3.OperationalError, match="something is wrong"):
                await engine.start(echo_it, "one", id="one", connection=db)
        run = await engine.start(echo_it, "one", id="one", connection=db)
    assert orders(db) == ["one"]
    assert await run.result() == "one"


async def test_a_store_without_transactions_says_so() -> None:
    async with Engine("memory:") as engine:
        with pytest.raises(Unsupported):
            await engine.start(echo_it, "x", connection=sqlite3.connect(":memory:"))


async def test_a_closed_engine_takes_nothing(file: Path) -> None:
    async with Engine(f"sqlite:///{file}", workers=False) as engine:
        journal = engine.journal
    with pytest.raises(keepstep.StoreUnavailable):
        journal.within(sqlite3.connect(file))
