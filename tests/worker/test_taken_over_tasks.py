"""A step on a queue that has been answered is not executed again by whoever takes its run over."""

from __future__ import annotations

import asyncio
from typing import Any

import keepstep
from keepstep import step, workflow
from keepstep.testing import run
from tests.runtime.crashing import CrashingJournal, World

calls: list[str] = []
may_answer: asyncio.Event


@step(queue="elsewhere")
async def weigh_elsewhere(what: str) -> str:
    calls.append(what)
    await may_answer.wait()
    return f"{what} weighed"


@workflow
async def weigh_and_wait(what: str) -> str:
    weighed = await weigh_elsewhere(what)
    await keepstep.receive("go on")
    return weighed


class LateJournal(CrashingJournal):
    """A store whose ``load`` takes so long that an answer comes right after what was read."""

    async def load(self, run_id: str) -> Any:
        loaded = await super().load(run_id)
        may_answer.set()
        await asyncio.sleep(1)
        return loaded


async def begin(world: World) -> Any:
    global may_answer
    may_answer = asyncio.Event()
    calls.clear()
    first = await world.open(lease_seconds=5.0)
    await first.start(weigh_and_wait, "parcel", id="weigh")
    executor = await world.open(queues=("elsewhere",))
    while not calls:
        await asyncio.sleep(0.01)
    world.kill(first)
    return executor


async def finish(executor: Any) -> Any:
    await asyncio.sleep(30)
    await executor.get("weigh").signal("go on")
    return await executor.get("weigh").result(timeout=60)


def test_an_answer_that_waits_in_the_inbox_is_not_asked_for_again() -> None:
    async def main() -> Any:
        world = World()
        executor = await begin(world)
        may_answer.set()
        await asyncio.sleep(0.01)
        await world.open(lease_seconds=5.0)
        result = await finish(executor)
        await world.close()
        return result

    assert run(main) == "parcel weighed"
    assert calls == ["parcel"]


def test_an_answer_that_comes_between_the_reading_and_the_offering_is_not_asked_for_again() -> None:
    async def main() -> Any:
        world = World()
        executor = await begin(world)
        taker = await world.open(lease_seconds=5.0)
        taker._given_journal.__class__ = LateJournal
        result = await finish(executor)
        await world.close()
        return result

    assert run(main) == "parcel weighed"
    assert calls == ["parcel"]


def test_a_task_that_was_never_offered_is_offered_by_the_next_owner() -> None:
    async def main() -> Any:
        world = World()
        executor = await world.open(queues=("elsewhere",))
        may_answer.set()
        for side in ("before", "after"):
            calls.clear()
            first = await world.open((CrashingJournal.commits + 1, side), lease_seconds=5.0)
            await first.start(weigh_and_wait, side, id=side)
            await world.death.wait()
            world.death.clear()
            taker = await world.open(lease_seconds=5.0)
            await executor.get(side).signal("go on")
            assert await executor.get(side).result(timeout=60) == f"{side} weighed"
            assert calls == [side]
            world.kill(taker)
            world.death.clear()
        await world.close()

    global may_answer
    may_answer = asyncio.Event()
    run(main)
