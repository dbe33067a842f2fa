"""Whatever commit a process dies at, the run comes to the same end elsewhere, and no recorded step is done again."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import keepstep
from keepstep import Engine, Outcome, Retry, step, workflow
from tests.runtime.both_colours import (
    expect_all_undone,
    expect_only_what_was_in_flight_twice,
    have_it_fail,
    tell_the_news,
)
from tests.runtime.crashing import crash_at_every_commit

effects: Counter[str] = Counter()


@step
async def do(what: str) -> str:
    effects[what] += 1
    return f"{what} done"


@step
def do_on_a_thread(what: str) -> str:
    effects[what] += 1
    return f"{what} done"


@step(retry=Retry(max_attempts=3, initial=0.2, jitter=0.0))
async def do_at_the_third_attempt(what: str) -> int:
    effects[what] += 1
    attempt = keepstep.step_info().attempt
    if attempt < 3:
        raise ConnectionError("not yet")
    return attempt


@step(retry=Retry(max_attempts=1))
async def refuse(what: str) -> None:
    effects[what] += 1
    raise ValueError(f"{what} refused")


@step
async def undo(what: str, outcome: Outcome) -> None:
    effects[f"undo {what}, {outcome.status}"] += 1


@workflow
async def go_through_everything(name: str) -> list[Any]:
    got: list[Any] = [await do("first")]
    got += await asyncio.gather(do("left"), do("right"), do_at_the_third_attempt("stubborn"))
    await keepstep.sleep("1m")
    got.append(await keepstep.receive("news", str))
    callback = keepstep.callback()
    got.append(await asyncio.wait_for(do_on_a_thread("thread"), 60))
    got.append(callback.token[:4] != "")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(walk(n)) for n in range(3)]
    got += [task.result() for task in tasks]
    got.append(str(keepstep.uuid4()) == str(keepstep.uuid4()))
    return got


async def walk(n: int) -> str:
    await asyncio.sleep(n)
    return await do(f"walk {n}")


def test_a_crash_at_any_commit_changes_nothing_but_what_was_in_flight() -> None:
    def check(result: list[Any], crashes: int) -> None:
        assert result == [
            "first done", "left done", "right done", 3, "good", "thread done", True,
            "walk 0 done", "walk 1 done", "walk 2 done", False,
        ]  # fmt: skip
        expect_only_what_was_in_flight_twice(effects, crashes)
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(lambda engine: tell_the_news(engine, go_through_everything), check) >= 30


@workflow
async def do_and_undo() -> None:
    async with keepstep.saga() as saga:
        await saga.run(do, "charge", undo=undo)
        await saga.run(do, "reserve", undo=undo)
        await saga.run(refuse, "ship", undo=undo)


def test_a_crash_in_the_middle_of_undoing_goes_on_undoing() -> None:
    def check(result: str, crashes: int) -> None:
        assert result == "ship refused"
        expect_all_undone(effects, crashes)
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(lambda engine: have_it_fail(engine, do_and_undo), check) >= 14


@workflow
async def child(n: int) -> int:
    await do(f"child {n}")
    await keepstep.sleep(1)
    return n * 2


@workflow
async def parent() -> list[int]:
    handles = [await keepstep.start_child(child, n, id=f"child-{n}") for n in range(3)]
    return [*[await handle for handle in handles], await child(10)]


async def run_parent(engine: Engine) -> list[int]:
    handle = await engine.start(parent, id="parent")
    result: list[int] = await handle.result()
    return result


def test_children_are_started_once_and_answer_once_whatever_crashes() -> None:
    def check(result: list[int], crashes: int) -> None:
        assert result == [0, 2, 4, 20]
        assert set(effects) == {"child 0", "child 1", "child 2", "child 10"}
        assert sum(effects.values()) <= 4 + 4 * crashes
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(run_parent, check) >= 20


@workflow
async def be_cancelled() -> None:
    async with keepstep.saga() as saga:
        await saga.run(do, "charge", undo=undo)
        try:
            await keepstep.sleep("30d")
        finally:
            await do("clean up")


async def run_and_cancel(engine: Engine) -> str:
    handle = await engine.start(be_cancelled, id="cancelled")
    while (await handle.describe()).status == "running" and effects["charge"] == 0:
        await asyncio.sleep(0.01)
    if (await handle.describe()).status == "running":
        await handle.cancel("enough")
    try:
        await handle.result()
    except keepstep.Cancelled:
        return "cancelled"
    return "completed"


def test_a_cancelled_run_cleans_up_and_undoes_whatever_crashes() -> None:
    def check(result: str, crashes: int) -> None:
        assert result == "cancelled"
        assert effects["clean up"] in (0, 1, 1 + crashes)
        undone = [what for what in effects if what.startswith("undo")]
        assert undone in (["undo charge, succeeded"], ["undo charge, uncertain"])
        effects.clear()

    effects.clear()
    assert crash_at_every_commit(run_and_cancel, check) >= 8
