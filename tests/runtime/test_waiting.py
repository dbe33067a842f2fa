"""Signals, predicates, callbacks, people and children: what a run waits for, and how the wait ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

import keepstep
from keepstep import (
    AlreadyStarted,
    Cancelled,
    Engine,
    InvalidInput,
    NotFound,
    RunClosed,
    Terminated,
    TimedOut,
    WorkflowFailed,
    step,
    workflow,
)
from tests.runtime.programs import on_an_engine


@dataclass
class Pickup:
    by: str
    pieces: int = 1


@step
async def hand_over(n: int) -> int:
    return n


@workflow
async def take_signals(count: int) -> list[Any]:
    await keepstep.sleep(5)
    return [await keepstep.receive("n") for _ in range(count)]


def test_signals_that_came_before_they_were_asked_for_wait_in_order() -> None:
    async def program(engine: Engine) -> list[Any]:
        handle = await engine.start(take_signals, 4, id="s")
        for value in (1, {"two": 2}, None):
            await handle.signal("n", value)
        await handle.signal("other", "ignored")
        await asyncio.sleep(10)
        await engine.signal("s", "n", [4])
        return await handle.result()

    assert on_an_engine(program) == [1, {"two": 2}, None, [4]]


def test_a_signal_with_an_id_is_taken_once() -> None:
    async def program(engine: Engine) -> list[Any]:
        handle = await engine.start(take_signals, 2)
        await handle.signal("n", "first", id="same")
        await handle.signal("n", "first again", id="same")
        await handle.signal("n", "second")
        return await handle.result()

    assert on_an_engine(program) == ["first", "second"]


@workflow
async def take_pickup() -> str:
    try:
        pickup = await keepstep.receive("picked", Pickup, timeout="2d")
    except TimedOut:
        return "nobody came"
    except InvalidInput as error:
        return f"unfit: {error}"
    return f"{pickup.by} took {pickup.pieces}"


@pytest.mark.parametrize(
    ("value", "said"),
    [(Pickup("anna", 2), "anna took 2"), ({"by": 5}, "unfit"), (None, "nobody came")],
)
def test_a_signal_has_a_type_and_the_wait_for_it_an_end(value: Any, said: str) -> None:
    async def program(engine: Engine) -> str:
        handle = await engine.start(take_pickup)
        if value is not None:
            await handle.signal("picked", value)
        return await handle.result()

    assert said in on_an_engine(program)


@workflow
async def share_what_comes() -> list[int]:
    there, least = 0, 0

    async def take() -> None:
        nonlocal there, least
        await keepstep.wait_for(lambda: there > 0)
        there -= 1
        least = min(least, there)

    async def give() -> None:
        nonlocal there
        for _ in range(3):
            await keepstep.receive("give")
            there += 1

    await asyncio.gather(take(), take(), take(), give())
    return [there, least]


def test_what_a_predicate_says_still_holds_when_the_code_goes_on() -> None:
    """Of several who wait for one thing, one gets it."""

    async def program(engine: Engine) -> list[int]:
        handle = await engine.start(share_what_comes)
        for _ in range(3):
            await handle.signal("give")
            await asyncio.sleep(1)
        left: list[int] = await handle.result(timeout=60)
        return left

    assert on_an_engine(program) == [0, 0]


@workflow
async def wait_for_three() -> int:
    got: list[int] = []

    async def collect() -> None:
        while True:
            got.append(await keepstep.receive("n", int))

    collecting = asyncio.create_task(collect())
    await keepstep.wait_for(lambda: sum(got) >= 3)
    collecting.cancel()
    with pytest.raises(TimedOut):
        await keepstep.wait_for(lambda: False, timeout=60)
    return sum(got)


def test_a_predicate_is_asked_after_everything_that_happens() -> None:
    async def program(engine: Engine) -> int:
        handle = await engine.start(wait_for_three)
        for n in (1, 1, 1):
            await handle.signal("n", n)
        return await handle.result()

    assert on_an_engine(program) == 3


tokens: list[str] = []


@workflow
async def wait_for_callbacks() -> list[Any]:
    first, second, third = keepstep.callback(), keepstep.callback(), keepstep.callback()
    tokens[:] = [first.token, second.token, third.token]
    assert first.url == f"http://here/callbacks/{first.token}"
    got: list[Any] = [await first.result(Pickup)]
    try:
        await second.result()
    except Exception as error:
        got.append(repr(error))
    try:
        await third.result(timeout="1h")
    except TimedOut as error:
        got.append(str(error))
    return got


def test_callbacks_bring_values_errors_or_their_timeout_once() -> None:
    async def program(engine: Engine) -> list[Any]:
        handle = await engine.start(wait_for_callbacks, id="c")
        await asyncio.sleep(1)
        await engine.complete_callback(tokens[0], Pickup("ben"))
        await engine.complete_callback(tokens[0], Pickup("again"))
        await engine.fail_callback(tokens[1], ValueError("declined"))
        result = await handle.result()
        await engine.complete_callback(tokens[0], "late, but it was answered")
        with pytest.raises(RunClosed):
            await engine.complete_callback(tokens[2], "too late")
        forged = tokens[0][:-8] + "AAAAAAAA"
        with pytest.raises(NotFound):
            await engine.complete_callback(forged, 1)
        with pytest.raises(InvalidInput, match="not a callback token"):
            await engine.complete_callback("nonsense", 1)
        return result

    got = on_an_engine(program)
    assert got[0] == {"by": "ben", "pieces": 1}
    assert got[1] == "ValueError('declined')"
    assert "within 3600 s" in got[2]


@workflow
async def ask_a_person() -> str:
    answer = await keepstep.human_task("approve?", form=Pickup, assignee="eva", due="2h")
    return answer.by


def test_a_task_for_a_person_is_listed_until_it_is_done() -> None:
    async def program(engine: Engine) -> list[Any]:
        handle = await engine.start(ask_a_person)
        await asyncio.sleep(1)
        [task] = [each async for each in engine.human_tasks()]
        info = await handle.describe()
        assert (info.condition, info.waiting_for[0].kind) == ("waiting", "human_task")
        await engine.complete_callback(task.token, {"by": "carl"})
        result = await handle.result()
        return [task.title, task.assignee, task.due is not None, result, [each async for each in engine.human_tasks()]]

    assert on_an_engine(program) == ["approve?", "eva", True, "carl", []]


@workflow
async def kid(n: int) -> int:
    if n < 0:
        raise ValueError("negative")
    if n == 0:
        await keepstep.receive("never")
    return await hand_over(n)


@workflow
async def family(what: str) -> Any:
    if what == "fails":
        try:
            await kid(-1)
        except WorkflowFailed as error:
            return repr(error.__cause__)
    if what == "id in use":
        handle = await keepstep.start_child(kid, 0, id="one")
        try:
            await keepstep.start_child(kid, 1, id="one")
        except WorkflowFailed as error:
            return [handle.id, "in use" in str(error)]
    if what == "cancelled":
        try:
            await asyncio.wait_for(kid(0), 5)
        except TimeoutError:
            return "given up"
    return await asyncio.gather(*(kid(n) for n in range(1, 6)))


@pytest.mark.parametrize(
    ("what", "result"),
    [
        ("works", [1, 2, 3, 4, 5]),
        ("fails", "ValueError('negative')"),
        ("id in use", ["one", True]),
        ("cancelled", "given up"),
    ],
)
def test_children_answer_their_parents(what: str, result: Any) -> None:
    async def program(engine: Engine) -> Any:
        answer = await engine.run(family, what, id="p")
        await asyncio.sleep(2)
        if what == "cancelled":
            assert (await engine.get("p/kid").describe()).status == "cancelled"
        return answer

    assert on_an_engine(program) == result


@workflow(timeout="1h")
async def wait_for_ever() -> None:
    await keepstep.receive("never")


def test_a_run_ends_as_its_caller_is_told() -> None:
    async def program(engine: Engine) -> None:
        cancelled = await engine.start(wait_for_ever, id="cancelled")
        await cancelled.cancel("enough")
        with pytest.raises(Cancelled):
            await cancelled.result()
        terminated = await engine.start(wait_for_ever, id="terminated")
        await terminated.terminate("now")
        with pytest.raises(Terminated):
            await terminated.result()
        assert (await terminated.describe()).error == "terminated: now"
        with pytest.raises(RunClosed):
            await terminated.signal("late")
        timed_out = await engine.start(wait_for_ever, id="timed out")
        with pytest.raises(TimedOut, match="it goes on"):
            await timed_out.result(timeout=10)
        with pytest.raises(TimedOut, match="reached its timeout"):
            await timed_out.result()
        with pytest.raises(NotFound):
            await engine.get("nobody").describe()
        statuses = {info.id: info.status.value async for info in engine.list()}
        assert statuses == {"cancelled": "cancelled", "terminated": "terminated", "timed out": "timed_out"}
        assert await engine.count("Status IN ('cancelled', 'terminated')") == 2

    on_an_engine(program)


def test_starting_an_id_again_attaches_refuses_or_restarts() -> None:
    async def program(engine: Engine) -> None:
        first = await engine.start(kid, 0, id="x")
        assert (await engine.start(kid, 0, id="x")).run_id == first.run_id
        with pytest.raises(AlreadyStarted, match="another type or input"):
            await engine.start(kid, 1, id="x")
        with pytest.raises(AlreadyStarted):
            await engine.start(kid, 0, id="x", if_running="reject")
        second = await engine.start(kid, 5, id="x", if_running="restart")
        assert second.run_id != first.run_id
        assert await first.result() == 5
        assert (await engine.start(kid, 5, id="x")).run_id == second.run_id
        with pytest.raises(AlreadyStarted):
            await engine.start(kid, 5, id="x", if_closed="reject")
        third = await engine.start(kid, 5, id="x", if_closed="restart")
        assert third.run_id != second.run_id
        assert await third.result() == 5
        with pytest.raises(InvalidInput):
            await engine.start(kid, "five")
        with pytest.raises(InvalidInput):
            await engine.start(kid)

    on_an_engine(program)
