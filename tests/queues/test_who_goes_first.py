"""Whatever starts a run, it can say how that waits on its queue: in the same words, and to the same effect."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import keepstep
from keepstep import Engine, InvalidInput, WorkflowFailed, step, workflow
from keepstep.client.schedule import ScheduleHandle
from keepstep.journal import Declaration, Limits
from keepstep.testing import run
from tests.runtime.crashing import World

begun: list[str] = []


@step
async def note_who_begins(what: str) -> None:
    begun.append(what)


@workflow(queue="gate")
async def go_through(what: str) -> None:
    await note_who_begins(what)
    await keepstep.sleep(90)


@workflow(queue="gate")
class GoThroughWhenTold:
    async def run(self, what: str) -> None:
        await note_who_begins(what)
        await keepstep.sleep(90)

    @keepstep.signal
    def hurry(self) -> None: ...

    @keepstep.update
    def wave(self) -> str:
        return "waved"


@workflow
async def send_them_through(them: list[tuple[str, int, str]]) -> None:
    for what, priority, key in them:
        await keepstep.start_child(go_through, what, id=what, priority=priority, fairness_key=key)
    await keepstep.sleep("1h")


@workflow
async def send_one_badly(options: dict[str, Any]) -> None:
    await keepstep.start_child(go_through, "badly", **options)


@pytest.fixture
def play() -> Callable[..., Any]:
    def play(program: Callable[[Engine], Any]) -> Any:
        async def whole() -> Any:
            begun.clear()
            world = World()
            try:
                engine = await world.open(queues=("default", "gate"))
                limits = Limits(concurrency=1)
                await engine.journal.declare_queues([Declaration(name="gate", limits=limits)])
                await engine.start(go_through, "first", id="first")
                return await program(engine)
            finally:
                await world.close()

        return run(whole)

    return play


async def _until_begun(count: int) -> list[str]:
    while len(begun) < count:
        await asyncio.sleep(1)
    return begun[1:]


def test_children_go_by_priority_and_their_keys_take_turns(play: Callable[..., Any]) -> None:
    async def program(engine: Engine) -> list[str]:
        them = [("b1", 0, "big"), ("b2", 0, "big"), ("b3", 0, "big"), ("s1", 0, "small"), ("u", -1, "big")]
        await engine.start(send_them_through, them, id="sender")
        return await _until_begun(6)

    assert play(program) == ["u", "b1", "s1", "b2", "b3"]


def test_what_schedules_start_goes_by_the_priority_and_key_that_they_name(play: Callable[..., Any]) -> None:
    async def program(engine: Engine) -> list[str]:
        await engine.schedule("late", go_through, "late", every="1m", limit=1, priority=3)
        await engine.schedule("b", go_through, "b", every="1m", limit=2, fairness_key="big", overlap="allow")
        soon = await engine.schedule("soon", go_through, "soon", every="1m", limit=1, priority=2)
        await soon.update(priority=-4)
        info = await soon.describe()
        assert (info.priority, info.fairness_key) == (-4, None)
        await asyncio.sleep(150)
        await engine.start(go_through, "s", id="s", fairness_key="small")
        return await _until_begun(6)

    found = play(program)
    assert found == ["soon", "b", "s", "b", "late"]


def test_runs_started_with_a_message_go_by_priority(play: Callable[..., Any]) -> None:
    async def program(engine: Engine) -> list[str]:
        flow = GoThroughWhenTold
        await engine.signal_with_start(flow, "last", id="last", signal=flow.hurry, priority=9)
        await engine.signal_with_start(flow, "second", id="second", signal=flow.hurry, priority=2)
        waved = await engine.update_with_start(flow, "now", id="now", update=flow.wave, priority=1, fairness_key="vip")
        assert waved == "waved"
        return await _until_begun(4)

    assert play(program) == ["now", "second", "last"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"priority": "high"}, "is a whole number from -1000000 to 1000000, of which small ones go first, not 'high'"),
        ({"priority": True}, "is a whole number from"),
        ({"fairness_key": ""}, "fairness_key.* must have 1 to 512 characters"),
    ],
)
def test_what_is_no_priority_or_key_is_refused_before_anything_is_started(
    play: Callable[..., Any], options: dict[str, Any], said: str
) -> None:
    async def program(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match=said):
            await engine.schedule("bad", go_through, "bad", every="1m", **options)
        with pytest.raises(InvalidInput, match=said):
            await engine.signal_with_start(
                GoThroughWhenTold, "bad", id="bad", signal=GoThroughWhenTold.hurry, **options
            )
        with pytest.raises(WorkflowFailed, match=said):
            await engine.run(send_one_badly, options, id="badly")
        assert await engine.count("WorkflowId != 'first'") == 1

    play(program)


@pytest.mark.parametrize(
    "starting",
    [
        Engine.debounce,
        Engine.signal_with_start,
        Engine.update_with_start,
        Engine.schedule,
        ScheduleHandle.update,
        keepstep.start_child,
    ],
)
def test_whatever_starts_runs_says_it_as_start_does(starting: Callable[..., Any]) -> None:
    ours, theirs = inspect.signature(starting).parameters, inspect.signature(Engine.start).parameters
    for name in ("queue", "priority", "fairness_key"):
        assert ours[name].kind is theirs[name].kind, name
        assert ours[name].annotation == theirs[name].annotation, name
    order = [name for name in ours if name in ("queue", "priority", "fairness_key")]
    assert order == ["queue", "priority", "fairness_key"]
