"""Transactional steps on SQLite: their changes are there if and only if the run's history has their result."""

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
    Connection,
    Engine,
    InvalidInput,
    Retry,
    StatementRefused,
    StepFailed,
    TransactionTooLong,
    Unsupported,
    WorkflowFailed,
    step,
    workflow,
)

SCHEMA = """
CREATE TABLE effects (n INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, attempt INTEGER NOT NULL);
CREATE TABLE scarce (what TEXT PRIMARY KEY);
CREATE TABLE parents (id INTEGER PRIMARY KEY);
CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id));
CREATE TABLE patient_children (id INTEGER PRIMARY KEY, parent REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE bait (id INTEGER);
CREATE TRIGGER spring AFTER INSERT ON bait BEGIN DELETE FROM events; END;
CREATE VIEW peephole AS SELECT run_id FROM runs;
"""

QUICK = Retry(max_attempts=3, initial=0.01)

calls: list[str] = []
at_will: dict[str, Any] = {}
"""Functions that steps call with their connection."""


@step(transaction=True, retry=QUICK)
def note_effect(db: Connection, what: str) -> int | None:
    calls.append(what)
    return db.execute(
        "INSERT INTO effects (what, attempt) VALUES (?, ?)", (what, keepstep.step_info().attempt)
    ).lastrowid


class Doubling(keepstep.Interceptor):
    """Says everything twice, fails before the first attempt, and complains when it is too late."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def execute(self, call: keepstep.Executing, call_next: Any) -> Any:
        if keepstep.step_info().attempt == 1:
            raise ConnectionError("not yet")
        call.args = [f"{call.args[0]} and {call.args[0]}"]
        try:
            self.seen.append(f"row {await call_next(call)}")
        except sqlite3.IntegrityError as error:
            self.seen.append(str(error))
        raise ValueError("too late")


@step(transaction=True, retry=QUICK)
def do_at_will(db: Connection, name: str) -> Any:
    calls.append(name)
    return at_will[name](db)


@step(transaction=True, retry=Retry(max_attempts=1))
def try_at_will(db: Connection, name: str) -> Any:
    return at_will[name](db)


@step(transaction=True, retry=Retry(max_attempts=2, initial=0.01), timeout=0.1)
def linger_at_will(db: Connection, name: str) -> Any:
    calls.append(name)
    return at_will[name](db)


@step
async def greet_plainly() -> str:
    return "hello"


@workflow
async def greet_in_a_plain_step() -> str:
    return await greet_plainly()


@workflow
async def note_several_effects(names: list[str]) -> list[int | None]:
    return [await note_effect(each) for each in names]


@workflow
async def note_effects_at_once(names: list[str]) -> list[int | None]:
    return list(await asyncio.gather(*(note_effect(each) for each in names)))


@workflow
async def have_it_done(name: str) -> Any:
    return await do_at_will(name)


@workflow
async def have_it_tried(name: str) -> Any:
    return await try_at_will(name)


@workflow
async def have_it_done_in_time(name: str) -> Any:
    return await linger_at_will(name)


@workflow
async def go_on_after_failures(name: str) -> list[Any]:
    """Something is always going on beside the step that fails."""
    done = []
    for _ in range(3):
        try:
            done.append(str(await asyncio.gather(do_at_will(name), keepstep.sleep(0.005), note_effect("beside"))))
        except StepFailed as error:
            done.append(type(error.__cause__).__name__)
    return done


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()
    at_will.clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
async def engine(file: Path) -> AsyncIterator[Engine]:
    async with Engine(f"sqlite:///{file}") as engine, asyncio.timeout(60):
        outside(file).executescript(SCHEMA).close()
        yield engine


def outside(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None)


def effects(file: Path) -> list[str]:
    return [what for (what,) in outside(file).execute("SELECT what FROM effects ORDER BY n")]


async def cause_of(engine: Engine, flow: Any, name: str) -> BaseException:
    """What the step failed with that the workflow did not catch."""
    with pytest.raises(WorkflowFailed) as failed:
        await engine.run(flow, name)
    failure = failed.value.__cause__
    assert isinstance(failure, StepFailed)
    assert failure.uncertain is False
    assert failure.__cause__ is not None
    return failure.__cause__


async def test_what_stands_around_a_transaction_may_change_its_arguments_and_not_what_is_committed(file: Path) -> None:
    doubling = Doubling()
    async with Engine(f"sqlite:///{file}", interceptors=[doubling]) as engine, asyncio.timeout(60):
        outside(file).executescript(SCHEMA).close()
        assert await engine.run(note_several_effects, ["a", "b"]) == [1, 2]
        at_will["x and x"] = lambda db: db.execute("INSERT INTO scarce (what) VALUES (NULL), (1), (1)")
        failure = await cause_of(engine, have_it_done, "x")
    assert isinstance(failure, sqlite3.IntegrityError)
    assert effects(file) == ["a and a", "b and b"]
    assert doubling.seen[:2] == ["row 1", "row 2"]
    assert doubling.seen[2:] == ["UNIQUE constraint failed: scarce.what"] * 2


# what is done


async def test_the_changes_of_a_step_are_there_with_its_result(engine: Engine, file: Path) -> None:
    assert await engine.run(note_several_effects, ["a", "b", "c"]) == [1, 2, 3]
    assert effects(file) == ["a", "b", "c"]


async def test_many_steps_of_many_runs_share_their_transactions(engine: Engine, file: Path) -> None:
    runs = [await engine.start(note_effects_at_once, [f"{n}-{k}" for k in range(5)]) for n in range(40)]
    numbers = [n or 0 for run in runs for n in await run.result()]
    assert sorted(numbers) == list(range(1, 201))
    assert sorted(effects(file)) == sorted(f"{n}-{k}" for n in range(40) for k in range(5))


async def test_it_is_the_plain_function_outside_of_workflows(file: Path, engine: Engine) -> None:
    at_will["count"] = lambda db: db.execute("SELECT count(*) FROM effects").fetchone()[0]
    assert try_at_will.fn(outside(file), "count") == 0


async def test_rows_come_as_they_do_from_sqlite3(engine: Engine) -> None:
    def read(db: Any) -> Any:
        db.executemany("INSERT INTO effects (what, attempt) VALUES (?, ?)", ((f"e{n}", n) for n in range(5)))
        cursor = db.execute("SELECT what, attempt FROM effects ORDER BY n")
        seen: list[Any] = [cursor.fetchone(), cursor.fetchmany(), cursor.fetchmany(2), list(cursor), cursor.fetchone()]
        seen.append([column[0] for column in cursor.description])
        seen.append(db.execute("UPDATE effects SET attempt = :n WHERE what = :what", {"n": 9, "what": "e1"}).rowcount)
        db.row_factory = sqlite3.Row
        seen.append(dict(db.execute("SELECT attempt FROM effects WHERE what = 'e1'").fetchone()))
        db.row_factory = lambda cursor, row: {cursor.description[0][0]: row[0]}
        seen.append(db.execute("SELECT what FROM effects LIMIT 2").fetchall())
        seen.append(db.in_transaction)
        other = db.cursor()
        other.execute("SELECT 1")
        other.close()
        return seen

    at_will["read"] = read
    assert await engine.run(have_it_tried, "read") == [
        ["e0", 0],
        [["e1", 1]],
        [["e2", 2], ["e3", 3]],
        [["e4", 4]],
        None,
        ["what", "attempt"],
        1,
        {"attempt": 9},
        [{"what": "e0"}, {"what": "e1"}],
        True,
    ]


async def test_cursors_that_are_left_open_harm_nobody(engine: Engine, file: Path) -> None:
    kept: list[Any] = []

    def leave_open(db: Any) -> None:
        for n in range(3):
            db.execute("INSERT INTO effects (what, attempt) VALUES (?, 0)", (f"open {n}",))
        kept.append(db.execute("SELECT * FROM effects"))
        kept.append(db.execute("INSERT INTO effects (what, attempt) VALUES ('last', 0), ('too', 0) RETURNING n"))
        kept.append(db)
        kept[0].fetchone(), kept[1].fetchone()

    at_will["leave_open"] = leave_open
    await engine.run(have_it_tried, "leave_open")
    assert await engine.run(note_several_effects, ["after"]) == [6]
    assert effects(file) == ["open 0", "open 1", "open 2", "last", "too", "after"]
    for use in (kept[0].fetchone, kept[1].fetchall, lambda: kept[2].execute("DELETE FROM effects"), kept[2].cursor):
        with pytest.raises(StatementRefused, match="is over"):
            use()


# what fails


async def test_an_attempt_that_raises_leaves_nothing_and_is_followed_by_another(engine: Engine, file: Path) -> None:
    def fail_twice(db: Any) -> int:
        attempt = keepstep.step_info().attempt
        db.execute("INSERT INTO effects (what, attempt) VALUES ('mine', ?)", (attempt,))
        if attempt < 3:
            raise ConnectionError("not yet")
        return attempt

    at_will["fail_twice"] = fail_twice
    assert await engine.run(have_it_done, "fail_twice") == 3
    assert outside(file).execute("SELECT what, attempt FROM effects").fetchall() == [("mine", 3)]


async def test_a_step_that_has_used_up_its_attempts_has_failed_and_leaves_nothing(engine: Engine, file: Path) -> None:
    def fail(db: Any) -> None:
        db.execute("INSERT INTO effects (what, attempt) VALUES ('mine', 0)")
        raise LookupError("never")

    at_will["fail"] = fail
    assert isinstance(await cause_of(engine, have_it_done, "fail"), LookupError)
    assert (calls, effects(file)) == (["fail"] * 3, [])


async def test_what_is_recorded_beside_a_step_that_fails_keeps_its_order(engine: Engine, file: Path) -> None:
    def fail(db: Any) -> None:
        raise LookupError("never")

    at_will["fail"] = fail
    run = await engine.start(go_on_after_failures, "fail", id="beside")
    assert await run.result() == ["LookupError"] * 3
    assert effects(file) == ["beside"] * 3
    assert [each.seq async for each in run.history()] == list(range(1, 1 + len([1 async for _ in run.history()])))


async def test_a_result_that_cannot_be_recorded_undoes_the_step(engine: Engine, file: Path) -> None:
    def return_nonsense(db: Any) -> Any:
        db.execute("INSERT INTO effects (what, attempt) VALUES ('mine', 0)")
        return object()

    at_will["nonsense"] = return_nonsense
    assert isinstance(await cause_of(engine, have_it_done, "nonsense"), InvalidInput)
    assert (calls, effects(file)) == (["nonsense"], [])


async def test_a_step_that_asks_the_process_to_exit_has_failed(engine: Engine) -> None:
    def leave(db: Any) -> None:
        raise SystemExit(3)

    at_will["leave"] = leave
    assert "asked the process to exit with 3" in str(await cause_of(engine, have_it_done, "leave"))
    assert calls == ["leave"]


# what takes too long


def sleep_long(db: Any) -> None:
    db.execute("INSERT INTO effects (what, attempt) VALUES ('late', 0)")
    at_will["go_on"].wait(20)
    try:
        db.execute("INSERT INTO effects (what, attempt) VALUES ('later', 0)")
    except StatementRefused as error:
        calls.append(str(error))


def read_long(db: Any) -> None:
    db.execute("INSERT INTO effects (what, attempt) VALUES ('late', 0)")
    db.execute("WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c").fetchone()


def write_long(db: Any) -> None:
    db.execute(
        "INSERT INTO effects (what, attempt) "
        "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT 'late', n FROM c"
    )


def compute_long(db: Any) -> None:
    while not at_will["go_on"].is_set():
        db.execute("SELECT 1").fetchone()


@pytest.mark.parametrize("linger", [sleep_long, read_long, write_long, compute_long])
async def test_a_step_that_takes_too_long_is_rolled_back_and_harms_nobody(
    engine: Engine, file: Path, linger: Any
) -> None:
    at_will["go_on"], at_will["linger"] = threading.Event(), linger
    others = asyncio.gather(*(engine.run(note_several_effects, [f"{n}", f"{n}+"]) for n in range(20)))
    failure = await cause_of(engine, have_it_done_in_time, "linger")
    assert isinstance(failure, TransactionTooLong)
    assert "more than 0.1 s" in str(failure)
    assert calls.count("linger") == 2
    await others
    assert sorted(effects(file)) == sorted([f"{n}{end}" for n in range(20) for end in ("", "+")])
    at_will["go_on"].set()
    while linger is sleep_long and sum("is over" in each for each in calls) < 2:
        await asyncio.sleep(0.01)
    assert await engine.run(note_several_effects, ["after"]) == [41]


async def test_a_second_is_all_that_a_step_gets(engine: Engine) -> None:
    at_will["go_on"] = threading.Event()
    at_will["linger"] = lambda db: at_will["go_on"].wait(20)
    began = time.monotonic()
    failure = await cause_of(engine, have_it_tried, "linger")
    assert 1.0 <= time.monotonic() - began < 15.0
    assert isinstance(failure, TransactionTooLong)
    assert "more than 1 s" in str(failure)
    at_will["go_on"].set()


async def test_others_are_written_between_steps_that_take_their_time(engine: Engine, file: Path) -> None:
    """Fifteen of them wait together; what comes later and is no such step does not wait for all of them."""
    order: list[str] = []

    def take_time(db: Any) -> None:
        time.sleep(0.12)
        order.append("slow")

    at_will["slow"] = take_time
    slow = [asyncio.ensure_future(engine.run(have_it_done, "slow")) for _ in range(15)]
    while not order:
        await asyncio.sleep(0.001)
    assert await engine.run(greet_in_a_plain_step) == "hello"
    order.append("quick")
    await asyncio.gather(*slow)
    assert order.index("quick") <= 8


# what is refused


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("COMMIT", "committed together"),
        ("commit", "committed together"),
        ("ROLLBACK", "committed together"),
        ("BEGIN", "committed together"),
        ("ROLLBACK TO keepstep_deed", "savepoint of Keepstep"),
        ("RELEASE keepstep_deed", "savepoint of Keepstep"),
        ("ROLLBACK TO KEEPSTEP_OPERATION", "savepoint of Keepstep"),
        ("ATTACH 'other.db' AS other", "another database"),
        ("DETACH main", "connection stays"),
        ("PRAGMA synchronous = OFF", "connection stays"),
        ("PRAGMA writable_schema = ON", "connection stays"),
        ("PRAGMA user_version", "connection stays"),
        ("CREATE TABLE mine (id)", "by a migration"),
        ("CREATE TEMP TABLE runs (id)", "by a migration"),
        ("CREATE TEMP TRIGGER t AFTER INSERT ON main.events BEGIN SELECT 1; END", "by a migration"),
        ("CREATE INDEX i ON events (time)", "by a migration"),
        ("DROP TABLE effects", "by a migration"),
        ("ALTER TABLE events RENAME TO old", "by a migration"),
        ("ANALYZE", "by a migration"),
        ("REINDEX", "by a migration"),
        ("SELECT load_extension('x')", "load nothing"),
        ("SELECT * FROM events", "'events' is Keepstep's own"),
        ("SELECT count(*) FROM main.runs", "'runs' is Keepstep's own"),
        ("INSERT INTO messages (run) VALUES (1)", "'messages' is Keepstep's own"),
        ("UPDATE Runs SET owner = NULL", "'runs' is Keepstep's own"),
        ("DELETE FROM leases", "'leases' is Keepstep's own"),
        ("UPDATE leases SET counter = counter + 1 WHERE lease_id IN (SELECT value FROM json_each(?))", "'leases'"),
        ("UPDATE sqlite_sequence SET seq = 0", "SQLite's own"),
        ("INSERT INTO bait VALUES (1)", r"'events' is Keepstep's own.*\(in spring\)"),
        ("SELECT * FROM peephole", "'runs' is Keepstep's own"),
    ],
)
async def test_what_a_connection_is_not_for_is_refused_and_undone(
    engine: Engine, file: Path, statement: str, said: str
) -> None:
    def misbehave(db: Any) -> None:
        db.execute("INSERT INTO effects (what, attempt) VALUES ('before', 0)")
        db.execute(statement, ("[]",) if "?" in statement else ())

    at_will["misbehave"] = misbehave
    failure = await cause_of(engine, have_it_done, "misbehave")
    assert isinstance(failure, StatementRefused)
    with pytest.raises(StatementRefused, match=said):
        raise failure
    assert (calls, effects(file)) == (["misbehave"], [])
    assert await engine.run(note_several_effects, ["after"]) == [1]


@pytest.mark.parametrize(
    "misbehave",
    [
        lambda db: db.commit(),
        lambda db: db.rollback(),
        lambda db: db.executescript("SELECT 1"),
        lambda db: db.__enter__(),
    ],
)
async def test_nobody_ends_the_transaction_by_hand(engine: Engine, misbehave: Any) -> None:
    at_will["misbehave"] = misbehave
    assert isinstance(await cause_of(engine, have_it_done, "misbehave"), StatementRefused)


async def test_what_is_refused_cannot_be_had_by_catching_the_refusal(engine: Engine, file: Path) -> None:
    def insist(db: Any) -> str:
        for statement in ("COMMIT", "DELETE FROM events", "PRAGMA foreign_keys = OFF"):
            for _ in range(2):
                with pytest.raises(StatementRefused):
                    db.execute(statement)
        db.execute("INSERT INTO effects (what, attempt) VALUES ('mine', 0)")
        return "gave up"

    at_will["insist"] = insist
    assert await engine.run(have_it_done, "insist") == "gave up"
    assert effects(file) == ["mine"]


async def test_tables_may_be_described_and_savepoints_used(engine: Engine, file: Path) -> None:
    def describe(db: Any) -> list[str]:
        db.execute("SAVEPOINT mine")
        db.execute("INSERT INTO effects (what, attempt) VALUES ('undone', 0)")
        db.execute("ROLLBACK TO mine")
        db.execute("INSERT INTO effects (what, attempt) VALUES ('kept', 0)")
        assert db.execute("SELECT value FROM json_each('[1]')").fetchone() == (1,)
        assert db.execute("SELECT name FROM sqlite_schema WHERE name = 'effects'").fetchone() == ("effects",)
        return [name for _, name, *_ in db.execute("PRAGMA table_info(effects)")]

    at_will["describe"] = describe
    assert await engine.run(have_it_done, "describe") == ["n", "what", "attempt"]
    assert effects(file) == ["kept"]


async def test_a_statement_that_ends_the_transaction_fails_its_step_alone(engine: Engine, file: Path) -> None:
    def roll_back(db: Any) -> None:
        db.execute("INSERT INTO scarce VALUES ('one')")
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("INSERT OR ROLLBACK INTO scarce VALUES ('one')")
        with pytest.raises(StatementRefused, match="rolled back the whole transaction"):
            db.execute("INSERT INTO effects (what, attempt) VALUES ('by itself', 0)")

    at_will["roll_back"] = roll_back
    others = asyncio.gather(*(engine.run(note_several_effects, [f"{n}"]) for n in range(20)))
    failure = await cause_of(engine, have_it_done, "roll_back")
    assert isinstance(failure, StatementRefused)
    await others
    assert (calls.count("roll_back"), sorted(effects(file))) == (1, sorted(f"{n}" for n in range(20)))
    assert outside(file).execute("SELECT * FROM scarce").fetchall() == []


@pytest.mark.parametrize("table", ["children", "patient_children"])
async def test_foreign_keys_are_enforced_at_the_latest_at_the_end(engine: Engine, file: Path, table: str) -> None:
    def adopt(db: Any) -> None:
        db.execute(f"INSERT INTO {table} VALUES (1, 77)")

    at_will["adopt"] = adopt
    others = asyncio.gather(*(engine.run(note_several_effects, [f"{n}"]) for n in range(20)))
    failure = await cause_of(engine, have_it_tried, "adopt")
    assert "FOREIGN KEY constraint failed" in str(failure)
    await others
    assert len(effects(file)) == 20
    assert outside(file).execute(f"SELECT * FROM {table}").fetchall() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"once": True}, "leave out once=True"),
        ({"queue": "gpu"}, "leave out queue="),
        ({"heartbeat_timeout": 1}, "leave out heartbeat_timeout="),
    ],
)
def test_options_that_contradict_a_transaction_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        step(transaction=True, name="contradicting_transaction", **options)(lambda db: None)
    with pytest.raises(InvalidInput, match=said):
        try_at_will.options(**options)
    with pytest.raises(InvalidInput, match="where the step is defined"):
        try_at_will.options(transaction=False)


def test_a_function_without_room_for_the_connection_is_refused() -> None:
    functions: list[Any] = [lambda: None, lambda *, db: None, lambda **all: None]
    for function in functions:
        with pytest.raises(InvalidInput, match="give it a first parameter"):
            step(transaction=True, name="roomless_transaction")(function)


@step(transaction=True, retry=QUICK)
async def note_effect_asynchronously(db: Connection) -> None:
    raise AssertionError("never called")


@workflow
async def note_one_asynchronously() -> None:
    await note_effect_asynchronously()


async def test_an_async_function_is_refused_where_everybody_would_wait_for_it(engine: Engine) -> None:
    with pytest.raises(WorkflowFailed) as failed:
        await engine.run(note_one_asynchronously)
    failure = failed.value.__cause__
    assert isinstance(failure, StepFailed)
    assert "is a plain def" in str(failure)
    assert isinstance(failure.__cause__, InvalidInput)


async def test_a_store_without_tables_refuses_transactional_steps() -> None:
    async with Engine("memory:") as engine:
        with pytest.raises(WorkflowFailed) as failed:
            await engine.run(note_several_effects, ["a"])
    failure = failed.value.__cause__
    assert isinstance(failure, StepFailed)
    assert isinstance(failure.__cause__, Unsupported)


@workflow
async def give_up_a_transaction(name: str) -> str:
    try:
        async with asyncio.timeout(0.05):
            return str(await do_at_will(name))
    except TimeoutError:
        return f"instead of {name}, {await note_effect('instead')}"


async def test_a_transaction_that_is_under_way_comes_before_what_would_give_it_up(engine: Engine, file: Path) -> None:
    at_will["gate"] = threading.Event()

    def linger(db: Any) -> str:
        db.execute("INSERT INTO effects (what, attempt) VALUES ('late', 0)")
        at_will["gate"].wait(20)
        return "late"

    at_will["linger"] = linger
    run = await engine.start(give_up_a_transaction, "linger")
    while not calls:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.1)
    at_will["gate"].set()
    assert await run.result() == "late"
    assert effects(file) == ["late"]


async def test_an_engine_that_closes_waits_for_the_transaction_that_is_under_way(file: Path) -> None:
    at_will["gate"] = threading.Event()

    def linger(db: Any) -> str:
        db.execute("INSERT INTO effects (what, attempt) VALUES ('mine', 0)")
        at_will["gate"].wait(20)
        return "done"

    at_will["linger"] = linger
    url = f"sqlite:///{file}"
    async with Engine(url) as engine:
        outside(file).executescript(SCHEMA).close()
        run = await engine.start(have_it_tried, "linger", id="linger")
        while not (await run.describe()).waiting_for:
            await asyncio.sleep(0.001)
        asyncio.get_running_loop().call_later(0.1, at_will["gate"].set)
    async with Engine(url) as engine:
        assert await engine.get("linger").result() == "done"
    assert effects(file) == ["mine"]


@workflow
async def undo_in_a_transaction(name: str) -> str:
    async with keepstep.saga() as saga:
        await saga.run(note_effect, "deed", undo=undo_effect)
        await do_at_will(name)
    return "never"


@step(transaction=True, retry=QUICK)
def undo_effect(db: Connection, what: str, outcome: keepstep.Outcome) -> None:
    db.execute("DELETE FROM effects WHERE what = ?", (what,))
    db.execute("INSERT INTO effects (what, attempt) VALUES (?, 0)", (f"undone {what} that has {outcome.status}",))


async def test_a_saga_undoes_in_transactions_too(engine: Engine, file: Path) -> None:
    def fail(db: Any) -> None:
        raise LookupError("no luck")

    at_will["fail"] = fail
    with pytest.raises(WorkflowFailed, match="no luck"):
        await engine.run(undo_in_a_transaction, "fail")
    assert effects(file) == ["undone deed that has succeeded"]
