"""What was answered too late, or in the same breath as something that ended the wait for it, has no effect."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

import keepstep
from keepstep import Engine, RunClosed, step, workflow
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.runtime import history
from keepstep.testing import VirtualClock, VirtualLoop, run

FLUSH_SECONDS = 1.0

STEP_SECONDS = 9.75
"""About ten, and not in the very moment in which a flush ends: what comes first then is nobody's promise."""


@step
async def answer_in_ten_seconds() -> str:
    await asyncio.sleep(STEP_SECONDS)
    return "ten seconds later"


@step(retry=keepstep.Retry(max_attempts=1))
async def break_in_ten_seconds() -> str:
    await asyncio.sleep(STEP_SECONDS)
    raise ValueError("ten seconds later")


@workflow
async def answer_after_a_while(fails: bool) -> str:
    await keepstep.sleep(4)  # as much as it takes to start it makes up for the rest
    if fails:
        raise ValueError("the child failed")
    return "the child is done"


@workflow
async def wait_in_many_ways(token_of: str) -> list[Any]:
    """Everything that it waits for comes about ten seconds after its start."""
    callback = keepstep.callback()
    keepstep.set_attributes(**{token_of: callback.token})
    try:
        await asyncio.gather(
            callback.result(str),
            answer_in_ten_seconds(),
            break_in_ten_seconds(),
            keepstep.sleep(10),
            answer_after_a_while(False),
            answer_after_a_while(True),
            keepstep.receive("word", str),
            return_exceptions=True,
        )
    except asyncio.CancelledError:
        await keepstep.sleep(60)
        return ["cancelled", await keepstep.receive("word", str)]
    return ["not cancelled"]


class World:
    """One disk whose flushes take long: what is said within one of them arrives together."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self.disk = MemoryDisk()

    def engine(self, show_after_seconds: float = 1000.0) -> Engine:
        journal = MemoryJournal(self.disk, clock=VirtualClock(self.loop), flush_delay=lambda: FLUSH_SECONDS)
        return Engine(journal=journal, lease_seconds=60.0, show_after_seconds=show_after_seconds)


def cancel_while_all_arrives(*, callback_fails: bool, cancel_at: float) -> tuple[Any, list[str]]:
    """The result, and the types of the events; the second half is played by another process."""

    async def main() -> tuple[Any, list[str]]:
        world = World()
        async with world.engine() as engine:
            handle = await engine.start(wait_in_many_ways, "token", id="x")
            began = world.loop.time()
            while "token" not in (await handle.describe()).attributes:
                await asyncio.sleep(0.1)
            token = (await handle.describe()).attributes["token"]
            await asyncio.sleep(began + cancel_at - world.loop.time())
            by = "ann" if cancel_at % 1 else ""  # which travels in a message of another kind
            if callback_fails:
                answer = engine.fail_callback(token, "no", by=by)
            else:
                answer = engine.complete_callback(token, "yes", by=by)
            with suppress(RunClosed):
                await asyncio.gather(handle.cancel(), answer, handle.signal("word", "kept"))
            await asyncio.sleep(20)
        async with world.engine() as other:
            result = await other.get("x").result(timeout=300)
            return result, [each.type async for each in other.get("x").history()]

    return run(main)


MOMENTS = [6.0 + n / 2 for n in range(9)]


@pytest.mark.parametrize("callback_fails", [False, True])
def test_answers_that_come_with_a_cancel_change_nothing_now_or_in_any_replay(callback_fails: bool) -> None:
    late: set[str] = set()
    for moment in MOMENTS:
        result, events = cancel_while_all_arrives(callback_fails=callback_fails, cancel_at=moment)
        assert result in (["cancelled", "kept"], ["not cancelled"])
        if result[0] == "cancelled":
            late.update(events[events.index(history.CANCEL_REQUESTED) + 1 :])
    answered = history.CALLBACK_FAILED if callback_fails else history.CALLBACK_COMPLETED
    assert late >= {answered, history.STEP_COMPLETED, history.STEP_FAILED, history.TIMER_FIRED}


@step(once=True)
async def pay_only_once() -> str:
    return "paid"


@workflow
async def pay_after_a_step() -> str:
    try:
        await answer_in_ten_seconds()
        return await pay_only_once()
    except asyncio.CancelledError:
        return str(await keepstep.receive("word", str))


@pytest.mark.parametrize("cancel_at", [9.5, 10.0, 10.5])
def test_a_once_step_that_is_given_up_while_its_begin_is_recorded_leaves_its_run_at_rest(cancel_at: float) -> None:
    """At 10 the step before it ends in the same group in which the cancel comes."""

    async def main() -> tuple[str, float, Any]:
        world = World()
        async with world.engine(show_after_seconds=0.5) as engine:
            handle = await engine.start(pay_after_a_step, id="x")
            await asyncio.sleep(cancel_at)
            await handle.cancel()
            await asyncio.sleep(30)
            seen = await engine.journal.find_run("default", "x")
            assert seen is not None
            began = world.loop.time()
            await engine.close()
            closed_in = world.loop.time() - began
        async with world.engine() as other:
            await other.get("x").signal("word", "goodbye")
            return seen.condition, closed_in, await other.get("x").result(timeout=60)

    condition, closed_in, result = run(main)
    assert (condition, result) == ("waiting", "goodbye")
    assert closed_in < 5  # it had not to be waited for
