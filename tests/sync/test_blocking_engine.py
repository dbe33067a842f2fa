"""BlockingEngine does what Engine does, for programs that do not await."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, get_overloads

import pytest

import keepstep
from keepstep import BlockingEngine, BlockingRunHandle, Engine, InvalidInput, RunHandle, StoreUnavailable, sync
from keepstep.client.archiving import RunArchive
from keepstep.client.attributes import Attributes
from keepstep.client.blocking import thread
from keepstep.client.blocking.archiving import BlockingRunArchive
from keepstep.client.blocking.attributes import BlockingAttributes
from keepstep.client.blocking.bulk import BlockingBulk
from keepstep.client.blocking.queues import BlockingQueues
from keepstep.client.blocking.retention import BlockingRetention
from keepstep.client.blocking.schedule import BlockingScheduleHandle
from keepstep.client.bulk import Bulk
from keepstep.client.engine import WHILE_OPEN
from keepstep.client.queues import Queues
from keepstep.client.retention import Retention
from keepstep.client.schedule import ScheduleHandle

ROOT = Path(__file__).resolve().parents[2]
INNER = {"begin", "chance", "new_id"}
"""What Engine has for the other modules of its room."""

PAIRS = [
    (Engine, BlockingEngine, INNER),
    (RunHandle, BlockingRunHandle, set()),
    (ScheduleHandle, BlockingScheduleHandle, set()),
    (Queues, BlockingQueues, set()),
    (Attributes, BlockingAttributes, set()),
    (Bulk, BlockingBulk, set()),
    (Retention, BlockingRetention, set()),
    (RunArchive, BlockingRunArchive, {"troubles"}),
]


@sync.step
def blocking_double(n: int) -> int:
    return 2 * n


@sync.workflow
class BlockingCart:
    def __init__(self) -> None:
        self.items: list[int] = []

    def run(self, customer: str) -> list[int]:
        sync.receive("done")
        return self.items

    @sync.update
    def add(self, item: int) -> int:
        self.items.append(blocking_double(item))
        return len(self.items)

    @sync.query
    def count(self) -> int:
        return len(self.items)


@sync.workflow
def blocking_twice(n: int) -> int:
    return blocking_double(n)


@sync.workflow
def blocking_wait(n: int) -> Any:
    return [sync.receive("go"), n]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[BlockingEngine]:
    with BlockingEngine(f"sqlite:///{tmp_path}/runs.db") as engine:
        yield engine


# the same


def public_methods(of: type) -> set[str]:
    return {name for base in of.__mro__[:-1] for name in vars(base) if not name.startswith("_")}


@pytest.mark.parametrize(("plain", "blocking", "inner"), PAIRS)
def test_every_method_is_there_in_blocking_form_with_the_same_parameters(
    plain: type, blocking: type, inner: set[str]
) -> None:
    methods = {name for name in public_methods(plain) - inner if callable(getattr(plain, name))}
    assert len(methods) >= 2
    for name in methods | ({"__init__"} if plain is Engine else set()):
        theirs, ours = inspect.signature(getattr(plain, name)), inspect.signature(getattr(blocking, name))
        assert ours.parameters == theirs.parameters, name
        assert inspect.getdoc(getattr(blocking, name)), name


@pytest.mark.parametrize(("plain", "blocking", "inner"), PAIRS)
def test_what_is_written_by_hand_for_type_checkers_says_the_same_as_what_it_mirrors(
    plain: type, blocking: type, inner: set[str]
) -> None:
    for name in public_methods(plain) - inner:
        theirs, ours = (get_overloads(getattr(each, name)) for each in (plain, blocking))
        if theirs or ours:
            both = zip(map(inspect.signature, theirs), map(inspect.signature, ours), strict=True)
            assert all(mine.parameters == other.parameters for other, mine in both), name


def test_attributes_of_engine_and_handles_are_there_too(engine: BlockingEngine) -> None:
    handle = engine.start(blocking_twice, 1, id="a")
    assert (handle.id, engine.namespace, engine.url[:10]) == ("a", "default", "sqlite:///")
    assert handle.run_id == engine.get("a").describe().run_id
    assert all(hasattr(engine, name) for name in set(WHILE_OPEN) - {"journal", "closings", "published"})
    assert repr(handle) == f"<run a ({handle.run_id})>"


# what it does


def test_runs_are_started_spoken_to_and_waited_for(engine: BlockingEngine) -> None:
    assert engine.run(blocking_twice, 21) == 42
    cart = engine.start(BlockingCart, "ann", id="cart")
    assert cart.update(BlockingCart.add, 4) == 1
    assert cart.query(BlockingCart.count) == 1
    with pytest.raises(keepstep.TimedOut, match="had no result after"):
        cart.result(timeout=0.01)
    cart.signal("done")
    assert cart.result() == [8]
    assert [event.type for event in cart.history()][-1] == "workflow_completed"
    assert cart.describe().status == "completed"
    forked = cart.fork(at=1, id="forked")
    assert (forked.id, forked.describe().status) == ("forked", "running")
    forked.terminate("enough")
    assert engine.count("status = 'completed'") == 2
    with pytest.raises(keepstep.NotFound):
        engine.get("nobody").describe()
    with pytest.raises(InvalidInput, match="no worker has published"):
        engine.run("nobody_serves_this_one")


def test_callbacks_people_schedules_and_queues(engine: BlockingEngine) -> None:
    waiting = engine.start(ask_a_person_and_wait, id="ask")
    while not (tasks := list(engine.human_tasks())):
        pass
    engine.complete_callback(tasks[0].token, 5)
    assert waiting.result() == 5
    schedule = engine.schedule("daily", blocking_twice, 4, cron="0 9 * * *")
    assert schedule.describe().id == "daily"
    schedule.update(cron="0 10 * * *")
    schedule.pause("for now")
    assert [each.paused for each in engine.list_schedules()] == [True]
    fired = engine.get_schedule("daily").trigger()
    while not list(engine.list("WorkflowType = 'blocking_twice'")):
        pass
    assert engine.get(fired).result() == 8
    schedule.delete()
    engine.attributes.register(due="datetime")
    assert engine.attributes.list() == {"due": "datetime"}
    engine.queues.pause("slow")
    assert [each.name for each in engine.queues.list() if each.is_paused] == ["slow"]


@sync.workflow
def ask_a_person_and_wait() -> int:
    return sync.human_task("How many?", int)


def test_lists_are_lazy_and_fetch_a_bounded_number_ahead(engine: BlockingEngine) -> None:
    handles = [engine.start(blocking_wait, n, id=str(n)) for n in range(450)]
    journal, pages = engine._it.journal, []
    real: Callable[..., Any] = journal.search_runs

    async def search_runs(*args: Any, **options: Any) -> Any:
        pages.append(options["limit"])
        return await real(*args, **options)

    journal.search_runs = search_runs  # type: ignore[method-assign]
    listed = engine.list()
    assert not pages
    first = list(islice(listed, 3))
    assert (len(first), len(pages)) == (3, 1)
    listed.close()  # type: ignore[attr-defined]
    assert {info.id for info in engine.list()} == {handle.id for handle in handles}
    assert len(pages) == 4
    assert len(list(engine.list(limit=250))) == 250
    with pytest.raises(InvalidInput):
        next(engine.list("status ="))


def test_an_iterator_that_is_left_early_closes_what_it_iterates(engine: BlockingEngine) -> None:
    closed = threading.Event()

    async def numbers() -> AsyncIterator[int]:
        try:
            for n in range(1000):
                yield n
        finally:
            closed.set()

    iterating = engine._thread.iterate(numbers)
    assert next(iterating) == 0
    assert not closed.is_set()
    iterating.close()  # type: ignore[attr-defined]
    assert closed.is_set()


def test_many_threads_use_one_engine_at_once(engine: BlockingEngine) -> None:
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda n: engine.run(blocking_twice, n, id=f"t-{n}"), range(64)))
    assert results == [2 * n for n in range(64)]


def test_a_run_is_started_in_the_transaction_of_a_connection_that_may_be_used_by_other_threads(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with BlockingEngine(f"sqlite:///{path}") as engine:
        db = sqlite3.connect(path, check_same_thread=False)
        db.execute("CREATE TABLE orders (id TEXT)")
        db.execute("INSERT INTO orders VALUES ('o')")
        engine.start(blocking_twice, 3, id="rolled-back", connection=db)
        db.rollback()
        db.execute("INSERT INTO orders VALUES ('o')")
        handle = engine.start(blocking_twice, 3, id="order", connection=db)
        db.commit()
        assert handle.result(timeout=30) == 6
        with pytest.raises(keepstep.NotFound):
            engine.get("rolled-back").describe()
        with pytest.raises(InvalidInput, match="check_same_thread=False"):
            engine.start(blocking_twice, 3, id="other", connection=sqlite3.connect(path))
        db.close()


# where it is used


async def test_it_may_be_used_beside_a_running_loop(engine: BlockingEngine) -> None:
    assert await asyncio.to_thread(engine.run, blocking_twice, 1) == 2
    assert engine.run(blocking_twice, 2) == 4  # which holds this loop up meanwhile, but not the engine's


engines: list[BlockingEngine] = []


@sync.step(retry=keepstep.Retry(max_attempts=1))
def ask_the_engine() -> int:
    return engines[0].count("status = 'running'")


@sync.step(retry=keepstep.Retry(max_attempts=1))
async def ask_the_engine_on_its_loop() -> int:
    return engines[0].count()


@sync.workflow
def use_the_engine_that_runs_it() -> list[Any]:
    told: list[Any] = [ask_the_engine()]
    try:
        ask_the_engine_on_its_loop()
    except keepstep.StepFailed as error:
        told.append(str(error.__cause__))
    try:
        engines[0].count()
    except InvalidInput as error:
        told.append(str(error))
    return told


def test_a_sync_step_may_use_the_engine_that_runs_it_and_what_would_wait_for_itself_is_refused(
    engine: BlockingEngine,
) -> None:
    engines[:] = [engine]
    counted, on_the_loop, in_workflow = engine.run(use_the_engine_that_runs_it)
    assert counted == 1
    assert "would wait for itself for ever; call it from a sync step" in on_the_loop
    assert "workflow code must not wait for an engine" in in_workflow


def test_what_is_not_open_says_so(tmp_path: Path) -> None:
    engine = BlockingEngine(f"sqlite:///{tmp_path}/runs.db")
    with pytest.raises(StoreUnavailable, match=r"not open; use it within: with BlockingEngine"):
        engine.count()
    assert engine.open() is engine
    with pytest.raises(InvalidInput, match="open already"):
        engine.open()
    handle = engine.start(blocking_wait, 1)
    engine.close()
    engine.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        handle.describe()
    with engine:
        assert engine.get(handle.id).describe().status == "running"


def test_an_engine_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    threads = threading.active_count()
    with pytest.raises(keepstep.Error):
        BlockingEngine(f"sqlite:///{tmp_path}/no/such/folder/runs.db", create=False).open()
    with pytest.raises(InvalidInput, match="lease_seconds"):
        BlockingEngine("memory:", lease_seconds=0)
    assert threading.active_count() == threads


def test_whoever_asks_while_the_engine_ends_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that does not let itself be cancelled, and a caller who comes when the loop has stopped."""
    monkeypatch.setattr(thread, "ENDING_SECONDS_MAX", 0.1)
    ending = thread.EngineThread()
    began, outcomes = threading.Event(), list[BaseException]()

    async def hold_on() -> None:
        began.set()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    def ask() -> None:
        try:
            ending.call(hold_on)
        except StoreUnavailable as error:
            outcomes.append(error)

    def ask_late(wait: bool = True, shut_down: Any = ending._pool.shutdown) -> None:
        if wait:
            late = threading.Thread(target=ask)
            late.start()
            late.join(20)
        shut_down(wait)

    monkeypatch.setattr(ending._pool, "shutdown", ask_late)
    asking = threading.Thread(target=ask)
    asking.start()
    assert began.wait(20)
    ending.end()
    asking.join(20)
    assert not asking.is_alive()
    assert sorted(str(each)[:26] for each in outcomes) == ["the engine was closed whil", "this engine is closed; ope"]


def test_an_iterator_that_is_thrown_away_on_the_loop_itself_is_closed(engine: BlockingEngine) -> None:
    closed = threading.Event()

    async def count() -> AsyncIterator[int]:
        try:
            for n in range(1000):
                yield n
        finally:
            closed.set()

    left = [engine._thread.iterate(count)]
    assert next(left[0]) == 0
    engine._thread._loop.call_soon_threadsafe(left.clear)
    assert closed.wait(20)


def test_whoever_waits_hears_that_the_engine_was_closed(tmp_path: Path) -> None:
    engine = BlockingEngine(f"sqlite:///{tmp_path}/runs.db").open()
    handle = engine.start(blocking_wait, 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(handle.result)
        while not engine._it.closings._waiting:
            pass
        engine.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            waiting.result(timeout=30)


PROGRAM = """
import asyncio, os, sys, threading
from keepstep import BlockingEngine, StoreUnavailable, sync

@sync.workflow
def forked(n: int) -> int:
    return n + 1

@sync.workflow
def never() -> None:
    sync.receive("never")

url, what = sys.argv[1:]
engine = BlockingEngine(url).open()
if what == "fork":
    assert engine.run(forked, 1) == 2
    child = os.fork()
    if child == 0:
        try:
            engine.count()
        except StoreUnavailable as error:
            print(error, flush=True)
        with BlockingEngine(url) as own:
            print(own.run(forked, 10), flush=True)
        sys.exit(0)
    print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(engine.run(forked, 2))
else:
    handle = engine.start(never, id="never")

    def calls():
        there = asyncio.all_tasks(engine._thread._loop)
        return [task for task in there if "EngineThread.call" in str(task) and not task.done()]

    def tell():
        while not calls():
            pass
        print("waiting", flush=True)

    threading.Thread(target=tell).start()
    try:
        handle.result()
    except KeyboardInterrupt:
        print(handle.describe().status, len(calls()))
"""


def in_a_process(what: str, folder: Path) -> subprocess.Popen[str]:
    (folder / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-W", "ignore", str(folder / "program.py"), f"sqlite:///{folder}/runs.db", what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_a_forked_process_is_told_to_open_an_engine_of_its_own_and_its_parent_goes_on(tmp_path: Path) -> None:
    said, complaints = in_a_process("fork", tmp_path).communicate(timeout=60)
    refusal, of_child, exit_code, of_parent = said.splitlines()
    assert "opened by process" in refusal
    assert "open an engine after the fork (in gunicorn: in post_fork" in refusal
    assert (of_child, exit_code, of_parent, complaints) == ("11", "child ended with 0", "3", "")


def test_control_c_ends_a_wait_at_once_and_the_engine_can_still_be_used_and_closes_at_exit(tmp_path: Path) -> None:
    process = in_a_process("wait", tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    said, complaints = process.communicate(timeout=30)
    assert (said, complaints, process.returncode) == ("running 0\n", "", 0)
    with BlockingEngine(f"sqlite:///{tmp_path}/runs.db", workers=False) as engine:
        assert engine.get("never").describe().status == "running"
        assert engine._thread.call(engine._it.journal.list_leases) == []  # it was given back
