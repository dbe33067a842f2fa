"""What was done is undone in reverse, with what is known of it, and nothing but an operator's force stops that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import keepstep
import keepstep.testing
from keepstep import (
    Cancelled,
    Engine,
    InvalidInput,
    Outcome,
    Retry,
    StepFailed,
    Terminated,
    TimedOut,
    WorkflowFailed,
    step,
    workflow,
)
from keepstep.journal import Condition
from tests.runtime.crashing import World, crash_at_every_commit
from tests.runtime.programs import on_an_engine

books: list[str] = []
broken: set[str] = set()
FEW = Retry(max_attempts=2, initial=1.0, jitter=0.0)


@step(retry=FEW)
async def book(what: str) -> str:
    if what in broken:
        raise ConnectionError(f"{what} is broken")
    books.append(what)
    return f"{what}!"


@step(retry=FEW, timeout=5)
async def book_slowly(what: str) -> None:
    books.append(what)
    await asyncio.sleep(60)


@step(retry=FEW)
async def unbook(what: str, outcome: Outcome) -> None:
    if f"un{what}" in broken:
        raise ConnectionError(f"un{what} is broken")
    books.append(f"un{what} {outcome.status} {outcome.result}")


@step(retry=FEW)
async def unbook_plainly(what: str) -> None:
    books.append(f"plainly un{what}")


@step(retry=FEW)
async def unbook_in_a_minute(what: str) -> None:
    books.append(f"un{what} begins")
    await asyncio.sleep(60)
    books.append(f"un{what} ends")


async def fail_in_the_block() -> None:
    async with keepstep.saga() as saga:
        await saga.run(book, "hotel", undo=unbook)
        await saga.run(book, "car", undo=unbook_plainly)
        await book("insurance")
        saga.compensate(unbook_plainly, "insurance")
        await saga.run(book, "flight", undo=unbook)


async def time_out_in_the_block() -> None:
    async with keepstep.saga() as saga:
        await saga.run(book_slowly, "hotel", undo=unbook)


async def fail_beside_what_runs() -> None:
    async with keepstep.saga() as saga, asyncio.TaskGroup() as group:
        group.create_task(saga.run(book_slowly, "hotel", undo=unbook))
        await saga.run(book, "car", undo=unbook)
        raise ValueError("of its own")


async def succeed() -> str:
    async with keepstep.saga() as saga:
        return await saga.run(book, "hotel", undo=unbook)


async def catch_it_and_go_on() -> str:
    try:
        await fail_in_the_block()
    except StepFailed:
        return await book("consolation")
    return ""


PATHS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "fail": (
        fail_in_the_block,
        ["hotel", "car", "insurance", "unflight failed None", "plainly uninsurance", "plainly uncar",
         "unhotel succeeded hotel!"],
    ),
    "time out": (time_out_in_the_block, ["hotel", "hotel", "unhotel uncertain None"]),
    "beside": (fail_beside_what_runs, ["car", "hotel", "unhotel uncertain None", "uncar succeeded car!"]),
    "succeed": (succeed, ["hotel"]),
    "catch": (
        catch_it_and_go_on,
        ["hotel", "car", "insurance", "unflight failed None", "plainly uninsurance", "plainly uncar",
         "unhotel succeeded hotel!", "consolation"],
    ),
}  # fmt: skip


@workflow
async def travel(path: str) -> Any:
    return await PATHS[path][0]()


@pytest.mark.parametrize("path", PATHS)
def test_undos_run_in_reverse_and_get_what_is_known(path: str) -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(travel, path, id="t")
        try:
            await handle.result(timeout="1h")
        except WorkflowFailed:
            assert path not in ("succeed", "catch")

    books.clear()
    broken.clear()
    broken.add("flight")
    on_an_engine(program)
    expected = PATHS[path][1]
    if path == "beside":  # two steps at once are registered in either order
        assert (set(books[:2]), set(books[2:])) == (set(expected[:2]), set(expected[2:]))
    else:
        assert books == expected


@pytest.mark.parametrize("path", ["fail", "beside", "catch"])
def test_undos_are_the_same_whatever_crashes(path: str) -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(travel, path, id="t")
        try:
            await handle.result(timeout="1h")
        except WorkflowFailed:
            pass

    def check(_: None, crashes: int) -> None:
        expected = PATHS[path][1]
        assert set(books) == set(expected)
        assert len(books) <= len(expected) + 2 * crashes
        books.clear()

    books.clear()
    broken.clear()
    broken.add("flight")
    assert crash_at_every_commit(program, check) >= 10


@workflow(timeout="1h")
async def undo_for_a_minute(fails: bool) -> None:
    async with keepstep.saga() as saga:
        await saga.run(book, "a", undo=unbook_in_a_minute)
        await saga.run(book, "b", undo=unbook_in_a_minute)
        if fails:
            raise ValueError("no")
        await keepstep.sleep("59m")
        await keepstep.sleep("1d")


async def until_in_the_books(line: str) -> None:
    while line not in books:
        await asyncio.sleep(0.5)


UNDONE = ["a", "b", "unb begins", "unb ends", "una begins", "una ends"]


def test_cancelling_a_run_that_undoes_changes_nothing() -> None:
    async def program(engine: Engine) -> None:
        books.clear()
        handle = await engine.start(undo_for_a_minute, True, id="t")
        await until_in_the_books("unb begins")
        await handle.cancel("impatient")
        await asyncio.sleep(5)
        await handle.cancel("very impatient")
        with pytest.raises(WorkflowFailed, match="no"):
            await handle.result(timeout="1h")

    on_an_engine(program)
    assert books == UNDONE


def test_the_timeout_of_a_run_waits_until_it_has_undone() -> None:
    async def program(engine: Engine) -> None:
        books.clear()
        handle = await engine.start(undo_for_a_minute, False, id="t")
        await until_in_the_books("b")
        await asyncio.sleep(3600 - 90)
        await handle.cancel()
        with pytest.raises(Cancelled):
            await handle.result(timeout="1h")
        assert (await handle.describe()).status == "cancelled"

    on_an_engine(program, lease_seconds=600)
    assert books == UNDONE


def test_a_run_that_reaches_its_timeout_undoes_and_is_timed_out() -> None:
    async def program(engine: Engine) -> None:
        books.clear()
        handle = await engine.start(undo_for_a_minute, False, id="t")
        with pytest.raises(TimedOut, match="reached its timeout"):
            await handle.result(timeout="2h")
        assert (await handle.describe()).status == "timed_out"

    on_an_engine(program, lease_seconds=600)
    assert books == UNDONE


async def until_parked(engine: Engine) -> keepstep.RunInfo:
    while True:
        info = await engine.get("t").describe()
        if any(each.parked for each in info.waiting_for):
            return info
        await asyncio.sleep(0.5)


def test_an_undo_that_is_used_up_parks_the_run_until_an_operator_lets_it_try_again() -> None:
    async def program() -> Any:
        books.clear()
        broken.clear()
        broken.update(("flight", "unhotel"))
        world = World()
        engine = await world.open()
        handle = await engine.start(travel, "fail", id="t")
        info = await until_parked(engine)
        assert info.condition is Condition.COMPENSATING
        assert [(each.name, each.parked, each.attempt) for each in info.waiting_for] == [
            ("unbook", "undo_exhausted", 2)
        ]
        assert "unhotel is broken" in info.waiting_for[0].error
        await handle.retry()
        await asyncio.sleep(10)
        assert (await until_parked(engine)).status == "running"
        await handle.cancel()
        world.kill(engine)
        engine = await world.open()
        handle = engine.get("t")
        await until_parked(engine)
        broken.clear()
        await asyncio.sleep(100)
        assert (await handle.describe()).status == "running"
        await handle.retry()
        with pytest.raises(WorkflowFailed, match="flight is broken"):
            await handle.result(timeout="1h")
        await world.close()

    keepstep.testing.run(program)
    assert books[-1] == "unhotel succeeded hotel!"
    assert books.count("unhotel succeeded hotel!") == 1


def test_an_undo_that_is_used_up_can_be_done_by_hand() -> None:
    async def program(engine: Engine) -> None:
        books.clear()
        broken.clear()
        broken.update(("flight", "unhotel"))
        handle = await engine.start(travel, "fail", id="t")
        key = (await until_parked(engine)).waiting_for[0].key
        with pytest.raises(InvalidInput, match=r"undo '.*' of run 't' has failed already, and must be done: retry"):
            await handle.resolve(key, error="not done")
        with pytest.raises(InvalidInput, match=r"no uncertain step with the key 'other'; parked are: "):
            await handle.resolve("other", None)
        await handle.resolve(key, None)
        with pytest.raises(WorkflowFailed, match="flight is broken"):
            await handle.result(timeout="1h")
        settled = [each async for each in handle.history() if each.key == key]
        assert [(each.type, each.data["resolved_by"]) for each in settled] == [("step_completed", "resolve")]

    on_an_engine(program)
    assert "unhotel succeeded hotel!" not in books


def test_terminating_a_parked_run_skips_what_is_left_to_undo() -> None:
    async def program(engine: Engine) -> None:
        books.clear()
        broken.clear()
        broken.update(("flight", "unflight"))
        handle = await engine.start(travel, "fail", id="t")
        await until_parked(engine)
        await handle.terminate("by force")
        with pytest.raises(Terminated):
            await handle.result(timeout="1h")
        await asyncio.sleep(100)

    on_an_engine(program)
    assert books == ["hotel", "car", "insurance"]


@workflow
async def undo_within_undo() -> str:
    try:
        async with keepstep.saga() as outer:
            await outer.run(book, "outer", undo=unbook)
            async with asyncio.timeout(30):
                async with keepstep.saga() as inner:
                    await inner.run(book, "inner", undo=unbook_in_a_minute)
                    await keepstep.sleep("1h")
    except TimeoutError:
        return "timed out"
    return "went through"


def test_a_timeout_around_a_saga_undoes_it_and_is_a_timeout_still() -> None:
    books.clear()
    assert on_an_engine(lambda engine: engine.run(undo_within_undo, id="t")) == "timed out"
    assert books == ["outer", "inner", "uninner begins", "uninner ends", "unouter succeeded outer!"]


@workflow
async def misuse_a_saga(what: str) -> None:
    async with keepstep.saga() as saga:
        if what == "no step":
            saga.compensate(len, "x")
        elif what == "keywords":
            await saga.run(book, what="x", undo=unbook)
        else:
            await saga.run(book, "x", undo=unbook_nothing)


@step
async def unbook_nothing() -> None:
    """Takes nothing, and so cannot know what to undo."""


@pytest.mark.parametrize(
    ("what", "said"),
    [("no step", "must be a @step"), ("keywords", "positional"), ("arguments", "must take the 1 arguments")],
)
def test_an_undo_that_cannot_be_right_is_refused_before_anything_is_done(what: str, said: str) -> None:
    async def program(engine: Engine) -> None:
        with pytest.raises(WorkflowFailed, match=said):
            await engine.run(misuse_a_saga, what, id="t")

    books.clear()
    on_an_engine(program)
    assert books == []


@workflow(timeout="1h")
async def fail_and_go_on(seconds: float) -> str:
    await keepstep.sleep(seconds)
    try:
        async with keepstep.saga() as saga:
            await saga.run(book, "a", undo=unbook_in_a_minute)
            raise ValueError("no")
    except ValueError:
        pass
    await book("b")
    return "went on"


def test_a_cancel_that_waited_for_the_undoing_stops_what_comes_after_it() -> None:
    async def program(engine: Engine) -> None:
        books.clear()
        handle = await engine.start(fail_and_go_on, 1, id="t")
        await until_in_the_books("una begins")
        await handle.cancel()
        with pytest.raises(Cancelled):
            await handle.result(timeout="1h")

    on_an_engine(program)
    assert books == ["a", "una begins", "una ends"]


def test_a_timeout_that_waited_for_the_undoing_ends_the_run_after_it() -> None:
    async def program(engine: Engine) -> None:
        books.clear()
        handle = await engine.start(fail_and_go_on, 3600 - 30, id="t")
        with pytest.raises(TimedOut, match="reached its timeout"):
            await handle.result(timeout="3h")

    on_an_engine(program, lease_seconds=600)
    assert books == ["a", "una begins", "una ends"]


@step(once=True, timeout=5)
async def unbook_once(what: str) -> None:
    if "hang" in broken:
        await asyncio.Event().wait()
    if "once" in broken:
        raise ConnectionError("once is broken")
    books.append(f"once un{what}")


@workflow
async def undo_once() -> None:
    async with keepstep.saga() as saga:
        await saga.run(book, "a", undo=unbook)
        await saga.run(book, "b", undo=unbook_once)
        raise ValueError("no")


@pytest.mark.parametrize("trouble", ["once", "hang"])
def test_a_once_undo_that_was_not_done_parks_the_run_and_those_before_it_wait(trouble: str) -> None:
    async def program(engine: Engine) -> None:
        books.clear()
        broken.clear()
        broken.add(trouble)
        handle = await engine.start(undo_once, id="t")
        info = await until_parked(engine)
        if trouble == "hang":
            assert [each.parked for each in info.waiting_for] == ["uncertain"]
            await engine.resolve("t", info.waiting_for[0].key, error="it was not done")
            await asyncio.sleep(5)
            info = await until_parked(engine)
            assert "it was not done" in info.waiting_for[0].error
        assert info.condition is Condition.COMPENSATING
        assert [each.parked for each in info.waiting_for] == ["undo_exhausted"]
        assert books == ["a", "b"]
        broken.clear()
        await handle.retry()
        with pytest.raises(WorkflowFailed, match="no"):
            await handle.result(timeout="1h")

    on_an_engine(program)
    assert books == ["a", "b", "once unb", "una succeeded a!"]


@step
async def make_much(size: int, ballast: str) -> str:
    return "x" * size


@step
async def unmake_much(size: int, ballast: str, outcome: Outcome) -> None:
    books.append(f"unmade {outcome.status} {outcome.result is None}")


@workflow
async def undo_much(size: int) -> None:
    async with keepstep.saga() as saga:
        await saga.run(make_much, size, "y" * size, undo=unmake_much)
        raise ValueError("no")


@pytest.mark.parametrize(("size", "is_untold"), [(10, False), (1_500_000, True)])
def test_an_undo_is_called_without_the_result_where_both_are_too_large(size: int, is_untold: bool) -> None:
    async def program(engine: Engine) -> None:
        books.clear()
        with pytest.raises(WorkflowFailed, match="no"):
            await engine.run(undo_much, size, id="t")

    on_an_engine(program)
    assert books == [f"unmade succeeded {is_untold}"]


@workflow
async def undo_then_work() -> str:
    try:
        async with keepstep.saga() as saga:
            await saga.run(book, "a", undo=unbook)
            raise ValueError("no")
    except ValueError:
        await book_slowly("b")
    return "done"


def test_a_run_that_has_undone_and_goes_on_is_not_shown_as_undoing() -> None:
    async def program(engine: Engine) -> list[str]:
        books.clear()
        handle = await engine.start(undo_then_work, id="t")
        await until_in_the_books("b")
        await asyncio.sleep(0.01)
        found = await engine.journal.find_run("default", "t")
        assert found is not None
        await handle.terminate("seen enough")
        return [found.condition.value]

    assert on_an_engine(program) == [""]


async def leave_a_saga_behind() -> str:
    """Returns while a task of its own is in the middle of a saga."""

    async def buy() -> None:
        async with keepstep.saga() as saga:
            await saga.run(book, "hotel", undo=unbook_in_a_minute_with_outcome)
            await keepstep.sleep("1h")

    asyncio.create_task(buy())  # noqa: RUF006  nobody waits for it, which is the point
    await keepstep.sleep(5)
    return "returned"


@step(retry=FEW)
async def unbook_in_a_minute_with_outcome(what: str, outcome: Outcome) -> None:
    await asyncio.sleep(60)
    books.append(f"un{what} {outcome.status}")


def test_a_run_closes_only_when_sagas_that_were_left_behind_have_been_undone() -> None:
    books.clear()
    assert on_an_engine(lambda engine: engine.run(workflow(name="leaving")(leave_a_saga_behind))) == "returned"
    assert books == ["hotel", "unhotel succeeded"]


async def gather_fails_while_a_saga_undoes() -> str:
    """``gather`` does not wait for those that it has cancelled."""

    async def buy() -> None:
        async with keepstep.saga() as saga:
            await saga.run(book, "hotel", undo=unbook_in_a_minute_with_outcome)
            await keepstep.sleep("1h")

    async def fail() -> None:
        await keepstep.sleep(5)
        raise ValueError("of its own")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(wait_for_all(buy(), keepstep.sleep("2h")))
    except ExceptionGroup:
        return "failed"
    return "went well"


async def wait_for_all(*works: Any) -> None:
    await asyncio.gather(*works)


def test_a_run_does_not_close_before_an_undo_that_gather_does_not_wait_for() -> None:
    books.clear()
    failing = workflow(name="failing_beside_a_saga")(gather_fails_while_a_saga_undoes)
    assert on_an_engine(lambda engine: engine.run(failing)) == "failed"
    assert books == ["hotel", "unhotel succeeded"]


@step
async def book_and_return_a_socket(what: str) -> Any:
    books.append(what)
    return object()


@workflow
async def lose_a_result() -> None:
    async with keepstep.saga() as saga:
        await saga.run(book_and_return_a_socket, "a", undo=unbook)


def test_a_step_that_has_returned_what_cannot_be_recorded_is_not_undone_as_if_it_had_failed() -> None:
    async def program(engine: Engine) -> None:
        books.clear()
        broken.clear()
        with pytest.raises(WorkflowFailed, match="cannot be encoded"):
            await engine.run(lose_a_result, id="t")

    on_an_engine(program)
    assert books == ["a", "una uncertain None"]
