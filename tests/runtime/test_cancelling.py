"""Cancellation arrives as ``CancelledError``, once, and what the code then does is as durable as everything else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keepstep
import keepstep.testing
from keepstep import Cancelled, Engine, TimedOut, step, workflow
from tests.runtime.crashing import World
from tests.runtime.programs import on_an_engine

log: list[str] = []


@step
async def jot(what: str) -> str:
    log.append(what)
    return what


@step
async def jot_in_a_minute(what: str) -> str:
    log.append(f"{what} begins")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        log.append(f"{what} is cut off")
        raise
    log.append(f"{what} ends")
    return what


@workflow(timeout="1h")
async def clean_up_for_a_minute() -> None:
    try:
        await jot_in_a_minute("work")
        await keepstep.receive("never")
    finally:
        await jot_in_a_minute("cleaning")
        await jot("clean")


async def until_jotted(what: str) -> None:
    while what not in log:
        await asyncio.sleep(0.1)


def test_a_step_in_flight_is_cut_off_and_finally_runs_to_its_end_however_often_one_cancels() -> None:
    async def program(engine: Engine) -> None:
        log.clear()
        handle = await engine.start(clean_up_for_a_minute, id="c")
        await until_jotted("work begins")
        for _ in range(3):
            await handle.cancel("enough")
            await asyncio.sleep(10)
        with pytest.raises(Cancelled):
            await handle.result(timeout="2h")
        assert [event.data for event in [e async for e in handle.history()] if event.type == "workflow_cancelled"] == [
            {"reason": "enough"}
        ]

    on_an_engine(program)
    assert log == ["work begins", "work is cut off", "cleaning begins", "cleaning ends", "clean"]


def test_a_run_that_reaches_its_timeout_cleans_up_and_is_timed_out() -> None:
    async def program(engine: Engine) -> None:
        log.clear()
        handle = await engine.start(clean_up_for_a_minute, id="c")
        await asyncio.sleep(3610)
        await handle.cancel("too late")
        with pytest.raises(TimedOut):
            await handle.result(timeout="2h")
        assert (await handle.describe()).status == "timed_out"

    on_an_engine(program, lease_seconds=600)
    assert log[-3:] == ["cleaning begins", "cleaning ends", "clean"]


def test_a_run_that_is_cancelled_before_any_worker_sees_it_is_cancelled_at_its_first_wait() -> None:
    async def program() -> None:
        log.clear()
        world = World()
        journal_only = await world.open(queues=("elsewhere",))
        handle = await journal_only.start(cancelled_at_its_first_step, id="c")
        await handle.cancel("never mind")
        await world.open()
        with pytest.raises(Cancelled):
            await journal_only.get("c").result(timeout="1h")
        await world.close()

    keepstep.testing.run(program)
    assert log == ["first", "last"]


@workflow
async def cancelled_at_its_first_step() -> None:
    try:
        await jot("first")
        await keepstep.sleep(1)
        await jot("never")
    finally:
        await jot("last")


@workflow
async def refuse_to_stop() -> str:
    try:
        await keepstep.receive("never")
    except asyncio.CancelledError:
        await jot("no")
    return await jot("went on")


def test_code_may_decline_to_be_cancelled() -> None:
    async def program(engine: Engine) -> str:
        handle = await engine.start(refuse_to_stop, id="c")
        await handle.cancel()
        result: str = await handle.result(timeout="1h")
        return result

    assert on_an_engine(program) == "went on"


@workflow
async def raise_while_cleaning_up() -> None:
    try:
        await keepstep.receive("never")
    finally:
        raise ValueError("cleaning went wrong")


def test_an_error_while_cleaning_up_fails_the_run() -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(raise_while_cleaning_up, id="c")
        await handle.cancel()
        with pytest.raises(keepstep.WorkflowFailed, match="cleaning went wrong"):
            await handle.result(timeout="1h")

    on_an_engine(program)


@workflow
async def cancel_tasks_of_its_own() -> list[Any]:
    task = asyncio.create_task(branch())
    await keepstep.sleep(1)
    task.cancel("by hand")
    seen = [repr(each) for each in await asyncio.gather(task, return_exceptions=True)]
    return [*seen, task.cancelled()]


async def branch() -> None:
    try:
        await jot_in_a_minute("branch")
    finally:
        await jot("branch is clean")


def test_tasks_that_the_code_cancels_clean_up_and_the_run_goes_on() -> None:
    log.clear()
    assert on_an_engine(lambda engine: engine.run(cancel_tasks_of_its_own, id="c"))[1] is True
    assert log == ["branch begins", "branch is cut off", "branch is clean"]


@workflow
async def be_a_child_in_a_minute() -> str:
    return await jot_in_a_minute("child")


@workflow
async def give_a_child_up_while_it_is_started() -> str:
    starting = asyncio.create_task(keepstep.start_child(be_a_child_in_a_minute, id="kid"))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    return await jot("went on")


def test_a_child_is_given_up_with_the_wait_for_its_start() -> None:
    """Nobody would hold a handle to it."""

    async def program(engine: Engine) -> str:
        log.clear()
        result: str = await engine.run(give_a_child_up_while_it_is_started, id="r")
        await asyncio.sleep(120)
        with pytest.raises(keepstep.NotFound):
            await engine.get("kid").describe()
        return result

    assert on_an_engine(program) == "went on"
    assert log == ["went on"]
