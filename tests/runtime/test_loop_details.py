"""The corners of asyncio inside a workflow: what ends early, what fails, what is asked for out of order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keepstep
from keepstep import Engine, StepFailed, WorkflowFailed, step, workflow
from tests.runtime.programs import on_an_engine


@step
async def present(n: int) -> int:
    return n


@step
async def present_after(n: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return n


@step(retry=keepstep.Retry(max_attempts=1))
async def break_down(text: str) -> None:
    raise ValueError(text)


def keys_of(program_workflow: Any, *args: Any) -> tuple[Any, list[str]]:
    """The result of a workflow, and the keys of its events in their order."""

    async def program(engine: Engine) -> tuple[Any, list[str]]:
        handle = await engine.start(program_workflow, *args, id="r")
        result = await handle.result(timeout="2h")
        return result, [event.key async for event in engine.get("r").history() if event.key is not None]

    outcome: tuple[Any, list[str]] = on_an_engine(program)
    return outcome


async def named(n: int) -> int:
    return await present_after(n, 1)


@workflow
async def wait_for_all(futures_before: int) -> list[int]:
    """Sets of many tasks, made after a number of other futures."""
    await asyncio.gather(*(present(0) for _ in range(futures_before)))
    done, pending = await asyncio.wait([asyncio.create_task(named(n)) for n in range(20)])
    order = [task.result() for task in done]
    done, pending = await asyncio.wait(
        [asyncio.create_task(named(n)) for n in range(20)], return_when=asyncio.FIRST_COMPLETED
    )
    for task in pending:
        order.append(-1)
        task.cancel()
    return order


@pytest.mark.parametrize("futures_before", range(0, 40, 3))
def test_the_sets_of_wait_are_in_the_order_in_which_tasks_were_made_whatever_came_before(futures_before: int) -> None:
    order, _ = keys_of(wait_for_all, futures_before)
    assert order[:20] == list(range(20))


@workflow
async def complete_what_is_done(futures_before: int) -> list[int]:
    await asyncio.gather(*(present(0) for _ in range(futures_before)))
    tasks = [asyncio.create_task(named(n)) for n in range(12)]
    await asyncio.gather(*tasks)
    return [await each for each in asyncio.as_completed(tasks)]


@pytest.mark.parametrize("futures_before", range(0, 40, 5))
def test_as_completed_gives_what_is_done_already_in_argument_order(futures_before: int) -> None:
    assert keys_of(complete_what_is_done, futures_before)[0] == list(range(12))


@workflow
async def wait_for_nothing() -> list[str]:
    said = []
    for seconds in (0, -1, None, 5):
        try:
            said.append(str(await asyncio.wait_for(named(7), seconds)))
        except TimeoutError:
            said.append("timeout")
    said.append(str(await asyncio.create_task(named(8))))
    return said


def test_a_wait_of_no_length_ends_at_once_and_shifts_no_key() -> None:
    result, keys = keys_of(wait_for_nothing)
    assert result == ["timeout", "timeout", "7", "7", "8"]
    assert keys[-1] == "named()/present_after"


@workflow
async def raise_in_a_callback() -> str:
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    asyncio.get_running_loop().call_later(1, lambda: 1 / 0)
    await keepstep.sleep(2)
    return "went on"


def test_an_error_in_a_callback_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert keys_of(raise_in_a_callback)[0] == "went on"
    assert caplog.text.count("ZeroDivisionError") >= 2


@workflow
async def raise_before_the_first_await() -> list[str]:
    async def bad() -> None:
        raise KeyError("eager")

    said = []
    try:
        await bad()
    except KeyError as error:
        said.append(repr(error))
    results = await asyncio.gather(bad(), present(1), return_exceptions=True)
    said.append(repr(results))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(bad())
            group.create_task(break_down("step"))
            group.create_task(bad())
    except* KeyError as errors:
        said.append(f"{len(errors.exceptions)} of them")
    task = asyncio.current_task()
    assert task is not None
    said.append(task.get_name())
    return said


def test_errors_before_the_first_await_arrive_where_they_are_awaited() -> None:
    assert keys_of(raise_before_the_first_await)[0] == [
        "KeyError('eager')", "[KeyError('eager'), 1]", "2 of them", "main",
    ]  # fmt: skip


@workflow
async def use_synchronisation() -> list[Any]:
    seen: list[Any] = []
    condition, items = asyncio.Condition(), list[int]()

    async def consume(n: int) -> None:
        async with condition:
            await condition.wait_for(lambda: len(items) > n)
            seen.append(f"consumer {n}: {items[n]}")

    async def produce() -> None:
        for n in range(3):
            value = await present_after(n, 1)
            async with condition:
                items.append(value)
                condition.notify_all()

    await asyncio.gather(consume(2), consume(0), produce(), consume(1))
    semaphore, inside, most = asyncio.Semaphore(2), 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with semaphore:
            inside += 1
            most = max(most, inside)
            await present_after(1, 1)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(5)))
    seen.append(most)
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout_at(began + 90):
            await asyncio.Event().wait()
    except TimeoutError:
        seen.append(round(loop.time() - began))
    barrier = asyncio.Barrier(3)

    async def meet(n: int) -> int:
        await asyncio.sleep(n)
        await barrier.wait()
        return round(loop.time() - began)

    seen.append(await asyncio.gather(*(meet(n) for n in range(3))))
    return seen


def test_conditions_semaphores_barriers_and_deadlines_mean_what_they_mean_elsewhere() -> None:
    assert keys_of(use_synchronisation)[0] == [
        "consumer 0: 0", "consumer 1: 1", "consumer 2: 2", 2, 90, [92, 92, 92],
    ]  # fmt: skip


@workflow
async def cancel_in_a_group() -> list[str]:
    """The cleanup of cancelled siblings is durable."""
    said: list[str] = []

    async def sibling(n: int) -> None:
        try:
            await present_after(n, 3600)
        finally:
            said.append(f"cleaned up {await present(n)}")

    try:
        async with asyncio.TaskGroup() as group:
            for n in range(3):
                group.create_task(sibling(n))
            await break_down("body")
    except* StepFailed as errors:
        said.append(str(errors.exceptions[0].__cause__))
    return said


def test_siblings_that_a_failing_group_cancels_clean_up_with_steps() -> None:
    assert keys_of(cancel_in_a_group)[0] == ["cleaned up 0", "cleaned up 1", "cleaned up 2", "body"]


@workflow
async def raise_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(break_down("one"))
        group.create_task(present_after(1, 5))


def test_a_run_that_fails_with_a_group_of_errors_says_what_is_in_it() -> None:
    async def program(engine: Engine) -> str:
        with pytest.raises(WorkflowFailed) as failed:
            await engine.run(raise_a_group, id="r")
        return f"{failed.value} / {failed.value.__cause__!r}"

    assert "one" in on_an_engine(program)


@workflow
async def break_out_of_generators() -> list[Any]:
    closed: list[str] = []

    async def numbers(name: str) -> Any:
        try:
            for n in range(10):
                yield await present(n)
        finally:
            closed.append(f"{name} {await present(100)}")

    async for n in numbers("broken"):
        if n == 2:
            break
    await keepstep.sleep(1)
    async with asyncio.timeout(10):
        closed.append(str([n async for n in numbers("whole")][-1]))
    return closed


def test_a_generator_that_was_broken_out_of_is_closed_with_durable_effects() -> None:
    result, keys = keys_of(break_out_of_generators)
    assert result == ["broken 100", "whole 100", "9"]
    assert [key for key in keys if "aclose" in key] == ["aclose()/present"]


@workflow
async def take_them_as_they_come() -> list[int]:
    """The tasks with which ``as_completed`` began, by their names' order."""
    got = [await each for each in asyncio.as_completed([named(3), present_after(2, 5), present(1)], timeout=60)]
    try:
        for each in asyncio.as_completed([present_after(1, 50), present_after(2, 1)], timeout=10):
            got.append(await each)
    except TimeoutError:
        got.append(-1)
    return got


def test_as_completed_takes_calls_and_coroutines_and_has_a_timeout() -> None:
    result, keys = keys_of(take_them_as_they_come)
    assert result == [1, 3, 2, 2, -1]
    assert keys[:1] == ["timer"]


async def plain(n: int) -> int:
    return await present(n)


@workflow
async def name_tasks() -> list[str]:
    tasks = [asyncio.create_task(plain(n), name=f"number {n}") for n in range(2)]
    async with asyncio.TaskGroup() as group:
        tasks.append(group.create_task(plain(2), name="in the group"))
    await asyncio.gather(*tasks)
    return [task.get_name() for task in tasks]


def test_names_of_tasks_are_theirs_and_not_in_keys_which_are_the_same_on_every_python() -> None:
    result, keys = keys_of(name_tasks)
    assert result == ["number 0", "number 1", "in the group"]
    assert sorted(keys) == ["plain()#2/present", "plain()#3/present", "plain()/present"]


@workflow
async def cancel_several_waits() -> list[str]:
    said: list[str] = []

    async def wait(name: str, how: Any) -> None:
        try:
            await how(present_after(1, 3600))
        finally:
            said.append(name)

    async def limited(call: Any) -> Any:
        return await asyncio.wait_for(call, 60)

    async def itself(call: Any) -> Any:
        return await call

    waiting = [asyncio.create_task(wait("limited", limited)), asyncio.create_task(wait("itself", itself))]
    await keepstep.sleep(1)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    return said


def test_waits_that_are_cancelled_together_end_in_the_order_of_cancelling_on_every_python() -> None:
    assert keys_of(cancel_several_waits)[0] == ["limited", "itself"]


@workflow
async def take_the_loop_over() -> list[str]:
    loop, said = asyncio.get_running_loop(), []
    for take in (loop.stop, loop.close, lambda: loop.set_task_factory(None)):
        try:
            take()
        except RuntimeError as error:
            said.append(str(error))
    try:
        await asyncio.Task(plain(1))
    except RuntimeError as error:
        said.append(str(error))
    return said


def test_what_would_change_the_loop_or_go_past_it_is_refused_in_words() -> None:
    said = keys_of(take_the_loop_over)[0]
    assert [each.partition(" has no place")[0] for each in said[:3]] == [
        "loop.stop()", "loop.close()", "loop.set_task_factory()",
    ]  # fmt: skip
    assert "was not made by asyncio.create_task()" in said[3]
