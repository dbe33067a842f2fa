"""A step that nobody waits for any more hears of it at its next heartbeat, in a thread and on a queue."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Cancelled, Engine, Retry, StepFailed, step, workflow
from keepstep.testing import run
from tests.runtime.crashing import World

begun = threading.Event()
told = threading.Event()
may_beat = threading.Event()
may_beat.set()
heard: list[str] = []


def beat_until_told() -> None:
    begun.set()
    may_beat.wait(20)
    try:
        for _ in range(3000):
            keepstep.heartbeat()
            time.sleep(0.01)
    except Cancelled as error:
        heard.append(str(error))
        told.set()
        raise


@step
def toil_in_a_thread() -> None:
    beat_until_told()


@step(timeout=0.2, retry=Retry(max_attempts=1))
def toil_for_too_long() -> None:
    beat_until_told()


@workflow
async def have_it_toil(too_long: bool) -> str:
    try:
        await (toil_for_too_long() if too_long else toil_in_a_thread())
    except StepFailed as error:
        return type(error.__cause__).__name__
    return "done"


@step(queue="far")
async def toil_far_away(seconds: int) -> str:
    for second in range(seconds):
        try:
            keepstep.heartbeat(second)
        except Cancelled:
            heard.append(f"told at {second}")
            raise
        await asyncio.sleep(1)
    heard.append("done")
    return "done"


@workflow
async def have_it_toil_far_away(patience: int) -> str:
    try:
        async with asyncio.timeout(patience):
            return await toil_far_away(30)
    except TimeoutError:
        await keepstep.sleep(60)
        return "given up"


def clear() -> None:
    begun.clear()
    told.clear()
    heard.clear()


async def test_a_thread_whose_run_was_cancelled_is_told(tmp_path: Path) -> None:
    clear()
    async with Engine(f"sqlite:///{tmp_path}/runs.db", poll_seconds=0.1) as engine:
        handle = await engine.start(have_it_toil, False)
        assert await asyncio.to_thread(begun.wait, 20)
        await handle.cancel()
        assert await asyncio.to_thread(told.wait, 20)
        with pytest.raises(Cancelled, match="have_it_toil"):
            await handle.result(timeout=20)
    assert "nobody waits for this attempt" in heard[0]


async def test_a_thread_that_beats_for_the_first_time_when_it_is_over_is_told_as_well(tmp_path: Path) -> None:
    clear()
    may_beat.clear()
    try:
        async with Engine(f"sqlite:///{tmp_path}/runs.db", poll_seconds=0.1) as engine:
            handle = await engine.start(have_it_toil, False)
            assert await asyncio.to_thread(begun.wait, 20)
            await handle.cancel()
            with pytest.raises(Cancelled, match="have_it_toil"):
                await handle.result(timeout=20)
            may_beat.set()
            assert await asyncio.to_thread(told.wait, 20)
    finally:
        may_beat.set()


async def test_a_thread_whose_time_is_over_is_told(tmp_path: Path) -> None:
    clear()
    async with Engine(f"sqlite:///{tmp_path}/runs.db", poll_seconds=0.1) as engine:
        assert await engine.run(have_it_toil, True) == "TimedOut"
        assert await asyncio.to_thread(told.wait, 20)


def toil(patience: int) -> Any:
    async def whole() -> Any:
        world = World()
        try:
            owner = await world.open()
            await world.open(queues=("far",), serve=())
            return await owner.run(have_it_toil_far_away, patience)
        finally:
            await world.close()

    clear()
    return run(whole)


def test_a_step_on_a_queue_that_its_run_has_given_up_is_told() -> None:
    assert toil(5) == "given up"
    [said] = heard
    assert said in ("told at 6", "told at 7")


def test_one_that_is_wanted_is_left_in_peace() -> None:
    assert toil(100) == "done"
    assert heard == ["done"]
