"""Sync workflows: what they can do, what becomes of them when they are evicted or cancelled, what is refused."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from greenlet import greenlet

import keepstep
from keepstep import Engine, InvalidInput, Nondeterminism, WorkflowFailed, sync
from keepstep.client.checking.verdict import Verdict, verdict_on
from keepstep.journal import Condition
from keepstep.runtime import crossing
from keepstep.runtime.loop import WorkflowLoop
from keepstep.testing import run
from keepstep.worker.watchdog import Watchdog
from tests.runtime.crashing import World
from tests.runtime.deploying import NAME, after_deploying, block_of, deploy, until_shown
from tests.runtime.programs import on_an_engine

done: Counter[str] = Counter()


@sync.step
def sync_note(what: str) -> str:
    done[what] += 1
    return what


@keepstep.step
async def sync_double(n: int) -> int:
    return 2 * n


async def evict(engine: Engine) -> None:
    """Let go of the only run, as a full cache does."""
    assert engine.worker is not None
    (resident,) = engine.worker.residents.values()
    resident.release()
    del resident
    gc.collect()


@sync.workflow
def wait_and_clean_up() -> str:
    try:
        with sync.saga() as saga:
            saga.run(sync_note, "charge", undo=sync_note)
            try:
                return sync.receive("go on", str)
            finally:
                sync_note("inner")
    finally:
        sync_note("outer")


def test_cleaning_up_has_no_effect_while_a_run_is_evicted_and_has_it_when_the_run_ends() -> None:
    async def program(engine: Engine) -> tuple[dict[str, int], str]:
        done.clear()
        handle = await engine.start(wait_and_clean_up, id="r")
        await asyncio.sleep(2)
        await evict(engine)
        at_eviction = dict(done)
        await handle.signal("go on", "word")
        return at_eviction, await handle.result(timeout=60)

    assert on_an_engine(program) == ({"charge": 1}, "word")
    assert done == {"charge": 1, "inner": 1, "outer": 1}


@sync.workflow
def catch_everything_in_sync() -> None:
    while True:
        try:
            sync.sleep(3600)
            sync_note("awake")
        except BaseException:  # as careless people write it
            pass


def test_code_that_catches_everything_is_evicted_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async def program(engine: Engine) -> str:
        done.clear()
        await engine.start(catch_everything_in_sync, id="r")
        await asyncio.sleep(2)
        await evict(engine)
        assert not done
        handle = await engine.start(wait_and_clean_up, id="other")
        await handle.signal("go on", "word")
        return await handle.result(timeout=60)

    assert on_an_engine(program) == "word"
    assert "cannot be ended" in caplog.text


def numbers_doubled() -> Iterator[int]:
    for n in (3, 1, 2):
        yield sync_double.start(n).result()


@sync.workflow
def wait_below_c_code() -> list[Any]:
    """Between the workflow and its durable calls lie generators, and functions written in C."""
    return [
        sorted([3, 1, 2], key=lambda n: sync_double.start(-n).result()),
        list(map(lambda n: sync_double.start(n).result(), [1, 2])),  # noqa: C417
        list(numbers_doubled()),
    ]


def test_a_durable_call_may_stand_below_generators_and_c_code() -> None:
    async def program(engine: Engine) -> list[Any]:
        return await engine.run(wait_below_c_code)

    assert on_an_engine(program) == [[3, 2, 1], [2, 4], [6, 2, 4]]


colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


def paint(new: str) -> list[str]:
    before = colour.get()
    colour.set(new)
    sync.sleep(1)
    return [before, colour.get()]


@sync.workflow
def have_a_context(name: str) -> list[list[str]]:
    colour.set(name)
    branches = [sync.start(paint, f"{name} {n}") for n in range(2)]
    sync.sleep(1)
    return [*sync.gather(*branches), [colour.get()]]


def test_context_variables_belong_to_the_run_and_to_the_branch() -> None:
    async def program(engine: Engine) -> list[Any]:
        handles = [await engine.start(have_a_context, name, id=name) for name in "ab"]
        return [await handle.result() for handle in handles]

    assert on_an_engine(program) == [
        [["a", "a 0"], ["a", "a 1"], ["a"]],
        [["b", "b 0"], ["b", "b 1"], ["b"]],
    ]
    assert colour.get() == "none"


@sync.workflow
def give_up_a_branch() -> list[Any]:
    quick, slow = sync.start(paint, "x"), sync.start(wait_long)
    got: list[Any] = [quick.done(), quick.result()[1], quick.done()]
    try:
        slow.result(timeout=5)
    except keepstep.TimedOut as error:
        got.append(str(error))
    got.append(slow.done())
    assert slow.cancel()
    try:
        slow.result()
    except asyncio.CancelledError:
        got.append("cancelled")
    failing = sync.start(fail)
    try:
        sync.gather(failing)
    except LookupError as error:
        got.append(str(error))
    return got


def wait_long() -> None:
    try:
        sync.sleep("30d")
    finally:
        sync_note("branch cleaned up")


def fail() -> None:
    sync.sleep(1)
    raise LookupError("from a branch")


def test_branches_are_waited_for_given_up_and_raise_what_they_raise() -> None:
    async def program(engine: Engine) -> list[Any]:
        return await engine.run(give_up_a_branch)

    done.clear()
    late = "the result of wait_long did not come within 5 s"
    assert on_an_engine(program) == [False, "x", True, late, False, "cancelled", "from a branch"]
    assert done == {"branch cleaned up": 1}


@sync.workflow(timeout=5)
def be_timed_out() -> None:
    with sync.saga() as saga:
        saga.run(sync_note, "reserve", undo=sync_free)
        sync.sleep("1d")


@sync.step
def sync_free(what: str) -> None:
    sync_note.fn(f"free {what}")


def test_a_workflow_timeout_arrives_at_the_durable_call_and_the_saga_undoes() -> None:
    async def program(engine: Engine) -> None:
        await engine.run(be_timed_out)

    done.clear()
    with pytest.raises(keepstep.TimedOut):
        on_an_engine(program)
    assert done == {"reserve": 1, "free reserve": 1}


@keepstep.workflow
def sync_leaf(n: int) -> int:
    return n + sync_double.start(n).result()


@keepstep.workflow
async def async_child_of_sync(n: int) -> int:
    return await sync_double(n) + await sync_leaf(n)


@sync.workflow
def sync_parent_of_async(n: int) -> int:
    return sync.start_child(async_child_of_sync, n).result()


def test_children_of_the_other_colour_are_waited_for() -> None:
    async def program(engine: Engine) -> int:
        return await engine.run(sync_parent_of_async, 10)

    assert on_an_engine(program) == 50


@sync.workflow
class TwoColours:
    """Sync, with an async handler."""

    def __init__(self) -> None:
        self.added: list[int] = []

    def run(self) -> list[int]:
        sync.wait_for(lambda: len(self.added) == 2)
        return self.added

    @sync.update
    async def add(self, n: int) -> int:
        self.added.append(await sync_double(n))
        return n

    @sync.update
    def add_in_sync(self, n: int) -> int:
        self.added.append(sync_double.start(n).result())
        return n


def test_a_sync_class_may_have_handlers_of_both_colours() -> None:
    async def program(engine: Engine) -> list[int]:
        handle = await engine.start(TwoColours, id="two")
        assert await handle.update(TwoColours.add, 1) == 1
        assert await handle.update(TwoColours.add_in_sync, 2) == 2
        return await handle.result()

    assert on_an_engine(program) == [2, 4]


@sync.workflow
def return_a_coroutine() -> Any:
    return async_child_of_sync.fn(1)


@sync.workflow
def wait_in_a_greenlet_of_its_own() -> str:
    from greenlet import greenlet

    try:
        greenlet(lambda: sync.sleep(1)).switch()
    except RuntimeError as error:
        return str(error)
    return "waited"


@sync.workflow
class HandsOver:
    """Hands a handle to async code, and something else to ``gather``."""

    def __init__(self) -> None:
        self.handle: sync.Handle[int] | None = None
        self.told: list[Any] = []

    def run(self) -> list[Any]:
        self.handle = sync_double_later.start(21)
        self.told.append(repr(self.handle))
        try:
            sync.gather(self.handle, 3)  # type: ignore[arg-type]
        except InvalidInput as error:
            self.told.append(str(error))
        sync.wait_for(lambda: len(self.told) == 4)
        return self.told

    @sync.update
    async def wait(self) -> None:
        assert self.handle is not None
        try:
            self.handle.result()
        except RuntimeError as error:
            self.told.append(str(error))
        self.told.append(await self.handle)


@sync.step
async def sync_double_later(n: int) -> int:
    await asyncio.sleep(1)
    return 2 * n


def test_async_code_of_a_sync_run_awaits_its_handles() -> None:
    async def program(engine: Engine) -> list[Any]:
        handle = await engine.start(HandsOver, id="r")
        await handle.update(HandsOver.wait)
        return await handle.result()

    assert on_an_engine(program) == [
        "<handle of step sync_double_later>",
        "gather takes handles, as some_step.start(...) returns them, not 3",
        "handle.result() waits, which only sync workflow code can; await the handle",
        42,
    ]


def test_mistakes_with_colours_are_told() -> None:
    async def program(engine: Engine) -> None:
        with pytest.raises(WorkflowFailed, match="return_a_coroutine is no async function, and has returned a corout"):
            await engine.run(return_a_coroutine)
        assert "from another greenlet" in await engine.run(wait_in_a_greenlet_of_its_own)

    on_an_engine(program)
    for call in (sync.gather, lambda: sync.start(fail), lambda: sync.timeout(1), keepstep.saga):
        with pytest.raises(RuntimeError, match="can only be used inside a workflow"):
            call()


@keepstep.workflow
async def use_sync_tools_in_async_code() -> list[str]:
    told = []
    for use in (lambda: sync.start(fail), sync.gather, lambda: sync.timeout(1), keepstep.saga().__enter__):
        try:
            use()
        except RuntimeError as error:
            told.append(str(error))
    return told


def test_async_workflows_are_told_what_to_use_in_place_of_the_tools_of_sync_ones() -> None:
    async def program(engine: Engine) -> list[str]:
        return await engine.run(use_sync_tools_in_async_code)

    told = on_an_engine(program)
    assert [each.rpartition(" ")[2] for each in told[:3]] == [
        "asyncio.create_task",
        "asyncio.gather",
        "asyncio.timeout",
    ]
    assert "async with" in told[3]


def test_what_yields_is_no_workflow() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(InvalidInput, match="numbers yields; a workflow is a function that returns its result once"):
        sync.workflow(numbers)


def test_a_sync_workflow_needs_greenlet_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_no_use() -> None: ...

    monkeypatch.setattr(crossing, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match=r"of_no_use is a sync workflow, .* pip install 'keepstep\[sync\]'"):
        sync.workflow(of_no_use)


def test_a_workflow_that_blocks_its_thread_is_refused_where_it_is_decorated() -> None:
    def nap() -> None:
        time.sleep(1)

    with pytest.raises(Nondeterminism, match=r"time\.sleep"):
        sync.workflow(nap)


@sync.workflow
def read_a_file(path: str) -> str:
    sync.sleep(1)
    return getattr(Path(path), "read_" + "text")()  # type: ignore[no-any-return]


def test_what_the_guard_sees_only_while_code_runs_names_the_line() -> None:
    async def program(engine: Engine) -> str:
        handle = await engine.start(read_a_file, "/etc/hosts", id="r")
        while (await handle.describe()).condition != "blocked":
            await asyncio.sleep(1)
        return (await handle.describe()).error or ""

    told = on_an_engine(program)
    line = read_a_file.fn.__code__.co_firstlineno + 3
    assert f"{__file__}:{line}" in told


@sync.workflow
def read_a_file_at_its_own_risk(path: str) -> bool:
    with sync.unsafe():
        sync.sleep(1)
        return bool(Path(path).read_text())


def test_the_guard_is_off_within_unsafe_also_behind_a_wait() -> None:
    async def program(engine: Engine) -> bool:
        return await engine.run(read_a_file_at_its_own_risk, __file__)

    assert on_an_engine(program)


def original_in_sync() -> str:
    first = sync_note("one")
    sync.receive("go")
    return first + sync_note("two")


def edited_in_sync() -> str:
    return ask_for_another("one")


def ask_for_another(what: str) -> str:
    answer = sync_double.start(3).result()
    return f"{what} {answer}"


def test_code_that_contradicts_history_is_blocked_with_its_line_however_deep() -> None:
    _, diff, _ = after_deploying(original_in_sync, edited_in_sync, block_of)
    line = ask_for_another.__code__.co_firstlineno + 1
    (asked,) = diff["asked"]
    assert asked["key"] == "sync_double"
    assert asked["site"] == {"file": __file__, "line": line, "function": "ask_for_another"}


def double_after_a_while(n: int) -> int:
    sync.sleep(1)
    return sync_double.start(n).result()


@sync.step
def sync_halve(n: int, outcome: keepstep.Outcome) -> None:
    done[f"undone {outcome.result}"] += 1


@sync.workflow
def run_own_functions_in_a_saga() -> str:
    try:
        with sync.saga() as saga:
            doubled = saga.run(double_after_a_while, 3, undo=sync_halve)
            raise LookupError(str(doubled))
    except LookupError as error:
        return str(error)


def test_a_saga_runs_functions_of_the_workflow_which_may_wait() -> None:
    async def program(engine: Engine) -> tuple[str, list[str | None]]:
        handle = await engine.start(run_own_functions_in_a_saga, id="r")
        return await handle.result(), [event.key async for event in handle.history()]

    done.clear()
    result, keys = on_an_engine(program)
    assert (result, done) == ("6", {"undone 6": 1})
    assert [key for key in keys if key] == ["timer", "timer", "sync_double", "undo()/sync_halve"]


def original_with_a_saga() -> str:
    with sync.saga() as saga:
        saga.run(double_after_a_while, 3, undo=sync_halve)
        sync.receive("go")
        return sync_note("two")


def edited_within_the_function() -> str:
    with sync.saga() as saga:
        saga.run(ask_for_another, "3", undo=sync_halve)
        return ""


def test_the_line_of_a_block_is_found_within_a_function_that_a_saga_runs() -> None:
    _, diff, _ = after_deploying(original_with_a_saga, edited_within_the_function, block_of)
    assert diff["asked"][0]["site"]["line"] == ask_for_another.__code__.co_firstlineno + 1


def edited_behind_the_function() -> str:
    with sync.saga() as saga:
        saga.run(give_back, 3, undo=sync_halve)
        return str(sync_double.start(4).result())


def give_back(n: int) -> int:
    return n


def test_the_line_of_a_block_is_found_behind_a_function_that_a_saga_has_run() -> None:
    _, diff, _ = after_deploying(original_with_a_saga, edited_behind_the_function, block_of)
    assert diff["asked"][0]["site"]["line"] == edited_behind_the_function.__code__.co_firstlineno + 3


def test_an_engine_may_run_in_greenlets_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn in another one."""
    real = WorkflowLoop.run_until_quiet
    monkeypatch.setattr(WorkflowLoop, "run_until_quiet", lambda *turn: greenlet(real).switch(*turn))
    test_context_variables_belong_to_the_run_and_to_the_branch()
    test_branches_are_waited_for_given_up_and_raise_what_they_raise()


class _Alone:
    """What a loop asks of the run that it belongs to."""

    class identity:
        run_id = "alone"

    class handling:
        is_answering = False


def test_a_run_that_is_thrown_away_while_it_waits_does_nothing_any_more() -> None:
    """Nobody has unwound it, and the garbage collector does not run its ``finally``."""

    def wait_for_ever(future: Any) -> None:
        waiting = crossing.crossing_now()
        assert waiting is not None
        done["began"] += 1
        try:
            waiting.wait(future)
        finally:
            done["cleaned up"] += 1

    def throw_away() -> None:
        loop = WorkflowLoop(_Alone())  # type: ignore[abstract, arg-type]
        with loop._entered():
            task = loop.task(crossing.cross(wait_for_ever, loop.future()), loop.root, None, None)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.run_until_quiet(0.0)

    done.clear()
    throw_away()
    gc.collect()
    assert done == {"began": 1}


@keepstep.workflow(guard=False)
def never_come_back_in_sync(how: str) -> None:
    sync_note("began")
    if how == "plainly":
        spin()
    if how == "in a branch":
        sync.start(spin).result()
    while True:
        try:
            spin()
        except Exception:
            return


def spin() -> None:
    while True:
        pass


@pytest.mark.parametrize("how", ["plainly", "in a branch", "catching everything"])
async def test_an_endless_loop_is_interrupted_and_its_run_blocked_while_others_go_on(how: str) -> None:
    async with Engine("memory:") as engine, asyncio.timeout(30):
        assert engine.worker is not None
        engine.worker.watchdog._limit = 0.2
        bad = await engine.start(never_come_back_in_sync, how, id="bad")
        while (await bad.describe()).condition != "blocked":
            await asyncio.sleep(0.01)
        info = await bad.describe()
        assert info.status == "running"
        assert "without waiting" in (info.error or "")
        assert await engine.run(sync_leaf, 7) == 21


def goes_on_in_sync() -> str:
    first = sync_note("one")
    sync.receive("go")
    return first + sync_note("something else")


@pytest.mark.parametrize(("new", "seq"), [(original_in_sync, 0), (goes_on_in_sync, 0), (edited_in_sync, 2)])
def test_a_check_replays_sync_runs_against_new_code(new: Any, seq: int) -> None:
    async def check() -> Verdict:
        world, watchdog = World(), Watchdog()
        engine = await world.open()
        handle = await engine.start(deploy(original_in_sync), id=NAME)
        await until_shown(engine, Condition.WAITING)
        verdict = verdict_on(await engine.journal.load(str(handle.run_id)), deploy(new), watchdog)
        watchdog.stop()
        await world.close()
        return verdict

    verdict = run(check)
    assert [each.diff.seq for each in verdict.troubles] == ([seq] if seq else [])
