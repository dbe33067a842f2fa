"""Eviction: what a run's code does while it leaves memory has no effect, and it always comes to an end."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

import keepstep
from keepstep import Engine, step, workflow
from tests.runtime.programs import on_an_engine

done: Counter[str] = Counter()


@step
async def note_done(what: str) -> str:
    done[what] += 1
    return what


async def evict(engine: Engine) -> None:
    """Let go of the only run, as a full cache does."""
    assert engine.worker is not None
    (resident,) = engine.worker.residents.values()
    resident.release()
    del resident
    gc.collect()


async def clean_up(what: str) -> None:
    await note_done(what)


@workflow
async def wait_in_a_group() -> str:
    """Leaving the group waits for its tasks, and what stands behind that must not run later."""
    try:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(keepstep.receive("never"))
                said: str = await keepstep.receive("go on")
                raise LookupError(said)
        finally:
            await asyncio.sleep(0)
            await clean_up("inner")
    except BaseExceptionGroup as errors:
        return str(errors.exceptions[0])
    finally:
        await clean_up("outer")


def test_cleaning_up_that_waits_has_no_effect_while_a_run_is_evicted() -> None:
    async def program(engine: Engine) -> tuple[dict[str, int], str]:
        done.clear()
        handle = await engine.start(wait_in_a_group, id="r")
        await asyncio.sleep(2)
        await evict(engine)
        at_eviction = dict(done)
        await handle.signal("go on", "word")
        return at_eviction, await handle.result(timeout=60)

    assert on_an_engine(program) == ({}, "word")
    assert done == {"inner": 1, "outer": 1}


@workflow
async def wait_in_a_generator() -> str:
    """Up to Python 3.12, closing who iterates a generator leaves what the generator waits for as it is."""

    async def wait_within() -> str:
        try:
            said: str = await keepstep.receive("go on")
        finally:
            await clean_up("generator's wait")
        return said

    async def words() -> Any:
        while True:
            yield await wait_within()

    walking = words()
    try:
        return str(await asyncio.wait_for(anext(walking), 3600))
    finally:
        await walking.aclose()


def test_what_a_generator_waits_for_has_no_effect_while_its_run_is_evicted() -> None:
    async def program(engine: Engine) -> tuple[dict[str, int], str]:
        done.clear()
        handle = await engine.start(wait_in_a_generator, id="r")
        await asyncio.sleep(2)
        await evict(engine)
        at_eviction = dict(done)
        await handle.signal("go on", "word")
        return at_eviction, await handle.result(timeout=60)

    assert on_an_engine(program) == ({}, "word")
    gc.collect()
    assert done == {"generator's wait": 1}


@workflow
async def catch_everything() -> None:
    while True:
        try:
            await keepstep.sleep(3600)
            await note_done("awake")
        except BaseException:  # as careless people write it
            pass


@workflow
async def answer() -> int:
    return 42


def test_code_that_catches_everything_is_evicted_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async def program(engine: Engine) -> int:
        done.clear()
        await engine.start(catch_everything, id="r")
        await asyncio.sleep(2)
        await evict(engine)
        return await engine.run(answer, id="other")

    assert on_an_engine(program) == 42
    assert not done
    assert "cannot be ended" in caplog.text


@workflow
async def leave_a_generator_in_a_cycle() -> list[str]:
    told: list[str] = []

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            await clean_up("generator")
            told.append("closed")

    generator = numbers()
    await anext(generator)
    holder: list[Any] = [generator]
    holder.append(holder)
    del generator, holder
    await collect_garbage()
    await keepstep.sleep(1)
    return told


@step
async def collect_garbage() -> None:
    gc.collect()


def test_when_the_garbage_collector_comes_makes_no_difference_to_a_run() -> None:
    async def program(engine: Engine) -> list[str]:
        done.clear()
        told: list[str] = await engine.run(leave_a_generator_in_a_cycle, id="r")
        return told

    assert on_an_engine(program) == []
    assert not done


@step
def say_aloud(what: str) -> None:
    print(what, flush=True)


@workflow
async def wait_and_say_something() -> None:
    await say_aloud("began")
    try:
        await keepstep.receive("never")
    finally:
        await say_aloud("done outside of the run")


THROW_AWAY = """
import asyncio, gc, sys
from keepstep import Engine
from tests.runtime.test_eviction import wait_and_say_something

async def main():
    engine = await Engine("memory:").__aenter__()
    run = await engine.start(wait_and_say_something)
    while (await run.describe()).condition != "waiting":
        await asyncio.sleep(0.01)

asyncio.run(main()) if sys.argv[1] == "cancelled" else asyncio.new_event_loop().run_until_complete(main())
if sys.argv[2] == "collected":
    gc.collect()
"""


@pytest.mark.parametrize("when", ["collected", "at exit"])
@pytest.mark.parametrize("how", ["cancelled", "left"])
def test_code_of_a_run_does_nothing_when_its_engine_is_thrown_away(how: str, when: str) -> None:
    """Nobody closes the engine. Outside of a run steps are plain functions, and would do what they do."""
    ended = subprocess.run(
        [sys.executable, "-c", THROW_AWAY, how, when], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "began\n"), ended.stderr
