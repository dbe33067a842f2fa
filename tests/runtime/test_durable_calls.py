"""Calls of steps and workflows as objects: what they are called, when they begin, and what they refuse."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keepstep
from keepstep import Engine, InvalidInput, Retry, WorkflowFailed, step, workflow
from keepstep.runtime.completion import ByAge
from tests.runtime.programs import on_an_engine

called: list[str] = []


@step
async def call_by_name(name: str) -> str:
    called.append(name)
    return name


@workflow
async def answer_by_name(name: str) -> str:
    return await call_by_name(name)


def result_of(made: Any, *args: Any) -> Any:
    async def program(engine: Engine) -> Any:
        return await engine.run(made, *args)

    called.clear()
    return on_an_engine(program)


@workflow
async def name_what_is_called() -> list[str]:
    step_call: Any = call_by_name("a")
    child_call: Any = answer_by_name("b")
    names = [repr(call_by_name), repr(answer_by_name), repr(step_call), repr(child_call)]
    step_call.close()
    child_call.close()
    return names


def test_steps_workflows_and_their_calls_are_named_as_people_know_them() -> None:
    step_name, workflow_name, step_call, child_call = result_of(name_what_is_called)
    assert (step_name, workflow_name) == ("<step call_by_name>", "<workflow answer_by_name>")
    assert step_call == "<call of step call_by_name as call_by_name>"
    assert "answer_by_name" in child_call
    assert called == []


@workflow
async def await_one_call_twice() -> str:
    call = call_by_name("once")
    await call
    return await call


def test_a_call_can_be_awaited_once() -> None:
    with pytest.raises(WorkflowFailed, match="was awaited already"):
        result_of(await_one_call_twice)
    assert called == ["once"]


@workflow
async def give_calls_up_before_they_begin() -> list[str]:
    task = asyncio.ensure_future(call_by_name("never"))
    task.cancel()
    outcome = await asyncio.gather(task, return_exceptions=True)
    unwanted: Any = call_by_name("never")
    unwanted.close()
    begun: Any = call_by_name("begun and dropped")
    begun.send(None)
    begun.close()
    return [type(each).__name__ for each in outcome]


def test_a_call_that_is_given_up_before_it_begins_is_never_made() -> None:
    assert result_of(give_calls_up_before_they_begin) == ["CancelledError"]
    assert "never" not in called


@workflow
async def start_and_await_later() -> list[str]:
    handle = call_by_name.start("started")
    await keepstep.sleep(1)
    assert called == ["started"]
    return [await handle]


def test_a_step_that_is_started_runs_before_it_is_awaited() -> None:
    assert result_of(start_and_await_later) == ["started"]


async def test_outside_of_a_workflow_a_step_cannot_be_started_and_nothing_is_durable() -> None:
    with pytest.raises(RuntimeError, match=r"call_by_name.start\(...\) can only be used inside a workflow"):
        call_by_name.start("x")
    with pytest.raises(RuntimeError, match="sleep can only be used inside a workflow"):
        await keepstep.sleep(1)
    assert await answer_by_name("plain") == "plain"


def test_options_that_do_not_exist_or_fit_are_refused() -> None:
    with pytest.raises(InvalidInput, match="step 'call_by_name' has no option 'colour'"):
        call_by_name.options(colour="red")
    with pytest.raises(InvalidInput, match="has no option 'timeout_seconds'"):
        call_by_name.options(timeout_seconds=1)
    with pytest.raises(InvalidInput, match=r"retry of step 'call_by_name' must be a keepstep\.Retry, not int"):
        call_by_name.options(retry=3)
    assert call_by_name.options(timeout=None, retry=Retry(max_attempts=2)).run_options.timeout_seconds is None


def test_what_is_no_function_is_neither_step_nor_workflow() -> None:
    with pytest.raises(InvalidInput, match="@step goes on a function, not on"):
        step(dict)
    with pytest.raises(InvalidInput, match="@workflow goes on a function or a class"):
        workflow(len)


def test_a_method_is_refused_where_it_is_decorated_and_a_bound_one_is_a_step_of_its_object() -> None:
    class Bank:
        def __init__(self, name: str) -> None:
            self.name = name
            self.pay = step(name=f"pay by {name}")(self.pay_by_name)

        async def pay_by_name(self, cents: int) -> str:
            return f"{cents} by {self.name}"

    with pytest.raises(InvalidInput, match=r"Bank.pay_by_name is a method; where the object is made, write self.pay"):
        step(Bank.pay_by_name)
    with pytest.raises(InvalidInput, match=r"@workflow goes on a function, and .* is a method; decorate its class"):
        workflow(Bank.pay_by_name)
    north = Bank("north")

    @workflow
    async def pay_at_the_north_bank() -> str:
        return await north.pay(5)

    assert on_an_engine(lambda engine: engine.run(pay_at_the_north_bank, id="north")) == "5 by north"


@workflow
async def ask_the_loop() -> list[Any]:
    """What libraries ask of a loop that they know nothing of."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    said: list[Any] = [loop.get_debug(), loop.get_task_factory(), loop.get_exception_handler(), loop.is_closed()]
    never = loop.call_soon(called.append, "cancelled")
    never.cancel()
    far = loop.call_later(float("inf"), called.append, "at the end of time")
    far.cancel()
    loop.default_exception_handler({"message": "no error, only words"})
    await loop.shutdown_asyncgens()
    await asyncio.sleep(0)
    return said


def test_the_loop_of_a_workflow_answers_what_libraries_ask() -> None:
    assert result_of(ask_the_loop) == [False, None, None, False]
    assert called == []


@workflow
async def wait_for_what_breaks() -> str:
    try:
        await keepstep.wait_for(lambda: 1 // len(called) > 0)
    except ZeroDivisionError:
        pass
    word: list[str] = []

    def look() -> bool:
        if word == ["break"]:
            raise ValueError("the predicate broke")
        return word == ["go on"]

    async def listen() -> None:
        word.append(await keepstep.receive("word", str))

    listening = asyncio.create_task(listen())
    try:
        await keepstep.wait_for(look)
    except ValueError as error:
        await listening
        return str(error)
    return "met"


@pytest.mark.parametrize(("word", "ends"), [("break", "the predicate broke"), ("go on", "met")])
def test_what_a_predicate_raises_goes_to_who_waits_for_it(word: str, ends: str) -> None:
    async def program(engine: Engine) -> Any:
        run = await engine.start(wait_for_what_breaks, id="x")
        await run.signal("word", word)
        return await run.result()

    called.clear()
    assert on_an_engine(program) == ends


@workflow
async def complete_in_many_ways() -> list[Any]:
    said: list[Any] = []
    try:
        asyncio.as_completed(asyncio.get_running_loop().create_future())
    except TypeError as error:
        said.append(str(error))
    waiting: Any = asyncio.as_completed([keepstep.sleep(1), keepstep.sleep(100)], timeout=10)
    (await waiting.__anext__()).result()
    try:
        await waiting.__anext__()
    except TimeoutError:
        said.append("late")
    said.extend([each.result() async for each in _iterated([call_by_name("x")])])
    try:
        await asyncio.wait_for(keepstep.sleep(1), 0)
    except TimeoutError:
        said.append("no time at all")
    said.append(await asyncio.wait_for(call_by_name("y"), None))
    return said


async def _iterated(awaited: list[Any]) -> Any:
    everything: Any = asyncio.as_completed(awaited)
    async for each in everything:
        yield each


def test_what_completes_can_be_waited_for_in_every_way_that_asyncio_has() -> None:
    said = result_of(complete_in_many_ways)
    assert said[0].startswith("expect an iterable of futures")
    assert said[1:] == ["late", "x", "no time at all", "y"]


def test_outside_of_workflows_completion_is_asyncios_own() -> None:
    result_of(complete_in_many_ways)  # a worker was started, and has changed asyncio

    async def main() -> list[int]:
        first = await asyncio.wait_for(_give(1), 5)
        second = [await each for each in asyncio.as_completed([_give(2)])]
        done, _ = await asyncio.wait([asyncio.ensure_future(_give(3))])
        assert type(done) is set
        return [first, *second, *(each.result() for each in done)]

    assert asyncio.run(main()) == [1, 2, 3]


async def _give(n: int) -> int:
    return n


class Numbered:
    def __init__(self, number: int) -> None:
        self.number = number


def test_a_set_by_age_gives_its_oldest_first_and_keeps_that_through_set_arithmetic() -> None:
    old, middle, young = Numbered(1), Numbered(2), Numbered(3)
    aged = ByAge({young, old, middle})
    assert list(aged - {middle}) == [old, young]
    assert (aged & {young}).pop() is young
    assert aged.copy().pop() is old
    assert (aged == {old}) is False
    with pytest.raises(KeyError):
        ByAge().pop()
