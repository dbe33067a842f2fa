"""``retry`` lets a failed run go on at the step that failed it, and nothing that was done is done again."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

import keepstep
from keepstep import Engine, InvalidInput, Retry, StepFailed, WorkflowFailed, step, workflow
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine

done: Counter[str] = Counter()
broken: set[str] = set()


@step(retry=Retry(max_attempts=1))
async def make(what: str) -> str:
    if what in broken:
        raise ConnectionError(f"{what} is broken")
    done[what] += 1
    return what


async def failed_then_retried(engine: Engine, program: Any, *breaks: str) -> Any:
    """Start it broken, repair it, retry it; the result."""
    done.clear()
    broken.clear()
    broken.update(breaks)
    handle = await engine.start(program, id="r")
    with pytest.raises(WorkflowFailed):
        await handle.result(timeout="1h")
    broken.clear()
    await handle.retry()
    return await handle.result(timeout="1h")


@workflow
async def notify_of_errors() -> list[str]:
    """Its except-handler runs a step whose key the good path uses too."""
    got = [await make("a")]
    try:
        got.append(await make("b"))
    except StepFailed:
        await keepstep.sleep(5)
        await make("sorry")
        raise
    got.append(await make("thanks"))
    return got


def test_steps_of_an_except_handler_do_not_stand_in_the_way_of_going_on() -> None:
    assert on_an_engine(lambda engine: failed_then_retried(engine, notify_of_errors, "b")) == ["a", "b", "thanks"]
    assert done == {"a": 1, "b": 1, "sorry": 1, "thanks": 1}


async def walk(name: str) -> list[str]:
    got = []
    for n in range(3):
        await asyncio.sleep(1)
        got.append(await make(f"{name}{n}"))
    return got


@workflow
async def walk_beside_a_failure() -> Any:
    walking = asyncio.create_task(walk("w"))
    try:
        bad = await make("bad")
    except StepFailed:
        await walking
        await make("sorry")
        raise
    return [bad, await walking]


def test_what_other_branches_did_after_the_failure_is_not_done_again() -> None:
    result = on_an_engine(lambda engine: failed_then_retried(engine, walk_beside_a_failure, "bad"))
    assert result == ["bad", ["w0", "w1", "w2"]]
    assert done == {"w0": 1, "w1": 1, "w2": 1, "sorry": 1, "bad": 1}


@workflow
async def fail_twice_at_once() -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one_of(name)) for name in ("x", "y", "z")]
    return [task.result() for task in tasks]


async def one_of(name: str) -> str:
    return await make(name)


def test_all_steps_that_failed_together_are_tried_again() -> None:
    assert on_an_engine(lambda engine: failed_then_retried(engine, fail_twice_at_once, "x", "z")) == ["x", "y", "z"]
    assert done["x"] == done["z"] == 1
    assert done["y"] <= 2


@workflow
async def fail_while_handling() -> Any:
    try:
        return await make("first")
    except StepFailed:
        try:
            await make("log it")
        except StepFailed:
            pass
        raise


def test_a_failure_that_was_handled_later_does_not_hide_the_one_that_counts() -> None:
    result = on_an_engine(lambda engine: failed_then_retried(engine, fail_while_handling, "first", "log it"))
    assert result == "first"
    assert done == {"first": 1}


@workflow
async def wrap_the_error() -> Any:
    try:
        return await make("deep")
    except StepFailed as error:
        raise ValueError("something went wrong") from error


def test_a_run_that_failed_with_an_error_of_its_own_goes_on_at_the_step_behind_it() -> None:
    assert on_an_engine(lambda engine: failed_then_retried(engine, wrap_the_error, "deep")) == "deep"


@workflow
async def fail_and_compensate() -> None:
    async with keepstep.saga() as saga:
        await make("charge")
        saga.compensate(make, "refund")
        await make("ship")


def test_a_run_that_has_compensated_is_not_retried() -> None:
    async def program(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match="has compensated"):
            await failed_then_retried(engine, fail_and_compensate, "ship")
        with pytest.raises(WorkflowFailed):
            await engine.get("r").result()
        fine = await engine.start(notify_of_errors, id="fine")
        await fine.result()
        with pytest.raises(InvalidInput, match="only failed and parked"):
            await fine.retry()

    on_an_engine(program)
    assert done["refund"] == 1


@workflow
async def fail_at_every_step() -> list[str]:
    return [await make(name) for name in "abc"]


def test_a_run_may_be_retried_again_and_again_whatever_crashes() -> None:
    async def program(engine: Engine) -> Any:
        handle = await engine.start(fail_at_every_step, id="r")
        while True:
            try:
                return await handle.result(timeout="1h")
            except WorkflowFailed as error:
                broken.discard(str(error.__cause__.__cause__)[0])  # type: ignore[union-attr]
                if (await handle.describe()).status == "failed":
                    await handle.retry()

    def check(result: Any, crashes: int) -> None:
        assert result == ["a", "b", "c"]
        assert all(1 <= done[name] <= 1 + crashes for name in "abc")
        done.clear()
        broken.update("abc")

    done.clear()
    broken.update("abc")
    assert crash_at_every_commit(program, check) >= 6
