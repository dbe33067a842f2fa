"""Edits beyond the reached point are fine; code that contradicts history blocks the run, and fitting code frees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.journal import Condition
from keepstep.journal.memory import MemoryJournal
from keepstep.runtime.registry import forget, register
from keepstep.testing import run
from tests.runtime.crashing import World
from tests.runtime.deploying import Code, after_deploying, block_of, deploy, result_of, until_shown


@step
async def one(n: int) -> str:
    return f"one {n}"


@step
async def two(n: int) -> str:
    return f"two {n}"


@step
async def three(n: int) -> str:
    return f"three {n}"


async def original() -> list[str]:
    got = [await one(1), await two(1)]
    await keepstep.receive("go")
    return [*got, await three(1)]


def test_code_beyond_the_reached_point_may_change_at_will() -> None:
    async def edited() -> list[str]:
        got = [await one(1), await two(1)]
        await keepstep.receive("go")
        return [*got, await two(7), await one(9)]

    assert after_deploying(original, edited, result_of) == ["one 1", "two 1", "two 7", "one 9"]


def test_an_edit_on_one_branch_does_not_shift_the_others() -> None:
    async def branch(n: int) -> str:
        return await one(n)

    async def longer(n: int) -> str:
        await keepstep.receive("go")
        return await two(n)

    async def old() -> list[str]:
        return list(await asyncio.gather(longer(1), branch(2), branch(3)))

    async def new() -> list[str]:
        async def longer(n: int) -> str:
            await keepstep.receive("go")
            return await two(n) + await three(n) + await one(n)

        return list(await asyncio.gather(longer(1), branch(2), branch(3)))

    assert after_deploying(old, new, result_of) == ["two 1three 1one 1", "one 2", "one 3"]


async def inserted_before() -> list[str]:
    got = [await three(0), await one(1), await two(1)]
    await keepstep.receive("go")
    return got


async def removed() -> list[str]:
    got = [await one(1)]
    await keepstep.receive("go")
    return got


async def renamed() -> list[str]:
    got = [await one(1), await three(1)]
    await keepstep.receive("go")
    return got


async def other_arguments() -> list[str]:
    got = [await one(2), await two(1)]
    await keepstep.receive("go")
    return got


async def other_kind() -> list[str]:
    return [str(await as_child())]


@workflow
async def as_child() -> int:
    """Stands where a step stood."""
    return 0


@pytest.mark.parametrize(
    ("new", "asked"),
    [
        (inserted_before, "step three"),
        (removed, ""),
        (renamed, "step three"),
        (other_arguments, "step one"),
        (other_kind, "child workflow as_child"),
    ],
)
def test_code_that_contradicts_history_blocks_the_run_and_writes_nothing(new: Code, asked: str) -> None:
    error, diff, events = after_deploying(original, new, block_of)
    assert "does not fit the run's history" in error
    assert diff["seq"] in (2, 3)
    assert "step_completed" in diff["history"]
    assert [each["what"] for each in diff["asked"]] == ([asked] if asked else [])
    for each in diff["asked"]:
        assert each["site"]["file"] == __file__
        assert each["site"]["function"] == new.__name__
        assert each["site"]["line"] > 0
    assert events == ["workflow_started", "step_completed", "step_completed"]


def test_a_blocked_run_goes_on_by_itself_when_fitting_code_is_deployed() -> None:
    async def judge(engine: Engine) -> list[str]:
        await until_shown(engine, Condition.BLOCKED)
        deploy(original)
        given = engine._given_journal
        assert isinstance(given, MemoryJournal)
        journal = type(given)(given.disk, clock=given.clock)
        async with Engine(journal=journal) as newer:
            result: list[str] = await newer.get("changing").result(timeout=60)
            return result

    assert after_deploying(original, renamed, judge) == ["one 1", "two 1", "three 1"]


def test_a_worker_with_the_same_old_code_tries_a_blocked_run_once_and_leaves_it_alone() -> None:
    async def judge(engine: Engine) -> int:
        await until_shown(engine, Condition.BLOCKED)
        run = await engine.journal.find_run("default", "changing")
        assert run is not None
        await asyncio.sleep(300)
        later = await engine.journal.find_run("default", "changing")
        assert later is not None
        return later.epoch - run.epoch

    assert after_deploying(original, renamed, judge) == 0


def test_workers_of_a_deploy_try_a_blocked_run_once_each_and_a_fitting_one_among_them_keeps_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def judge(engine: Engine) -> Any:
        journal = engine._given_journal
        assert isinstance(journal, MemoryJournal)

        async def open_another() -> Engine:
            handle = type(journal)(journal.disk, clock=journal.clock)
            return await Engine(journal=handle).__aenter__()

        await until_shown(engine, Condition.BLOCKED)
        others = [await open_another() for _ in range(3)]
        await asyncio.sleep(300)
        await engine.signal("changing", "go")  # what is said to it wakes nobody who has tried it
        await asyncio.sleep(300)
        tries = [each for each in caplog.records if "is blocked" in each.getMessage()]
        deploy(original)
        others.append(await open_another())
        result = await result_of(engine)
        for each in others:
            await each.close()
        return len(tries), result

    assert after_deploying(original, renamed, judge) == (4, ["one 1", "two 1", "three 1"])


def test_a_wait_of_another_length_than_recorded_is_a_contradiction() -> None:
    async def old() -> None:
        async with asyncio.timeout(60):
            await keepstep.receive("go")

    async def new() -> None:
        async with asyncio.timeout(90):
            await keepstep.receive("go")

    error, _, _ = after_deploying(old, new, block_of)
    assert "a wait of 60 s" in error
    assert "one of 90 s" in error


def test_a_recorded_result_that_no_longer_fits_its_declared_type_blocks() -> None:
    async def old() -> list[str]:
        return await original()

    async def judge(engine: Engine) -> str:
        return (await until_shown(engine, Condition.BLOCKED)).error or ""

    async def new() -> list[str]:
        forget("step", "one")

        @step(name="one")
        async def one_of_another_type(n: int) -> int:
            return n

        got = [str(await one_of_another_type(1))]
        await keepstep.receive("go")
        return got

    try:
        assert "does not fit its declared type" in after_deploying(old, new, judge)
    finally:
        forget("step", "one")
        register(one)


def test_code_that_never_comes_to_rest_blocks_the_run() -> None:
    async def restless() -> None:
        await keepstep.receive("go")
        while True:
            await asyncio.sleep(0)

    async def old() -> None:
        await keepstep.receive("go")
        await keepstep.receive("never")

    async def judge(engine: Engine) -> str:
        return (await until_shown(engine, Condition.BLOCKED)).error or ""

    assert "without waiting for anything durable" in after_deploying(old, restless, judge)


def test_a_run_that_fits_again_is_shown_with_what_it_waits_for() -> None:
    """Nothing happens to it when fitting code comes back, and it must not be shown as blocked for that."""

    async def old() -> str:
        await one(1)
        return str(await keepstep.receive("never"))

    async def new() -> str:
        await two(2)
        return await old()

    async def main() -> tuple[Condition, Condition, list[str]]:
        world = World()
        first = await world.open()
        await first.start(deploy(old), id="changing")
        await until_shown(first, Condition.WAITING)
        await first.close()
        deploy(new)
        second = await world.open()
        await second.journal.rebuild()
        blocked = await until_shown(second, Condition.BLOCKED)
        await second.close()
        deploy(old)
        await world.open()
        client = await world.open(workers=False)
        waiting = await until_shown(client, Condition.WAITING)
        world.engines[:] = [client]
        return blocked.condition, waiting.condition, [each.name for each in waiting.waiting_for]

    assert run(main) == (Condition.BLOCKED, Condition.WAITING, ["never"])
