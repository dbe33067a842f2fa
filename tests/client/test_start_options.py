"""What a start says of its run alone: its timeout, which goes on with it, and what a parent gives its child."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import keepstep
from keepstep import Engine, InvalidInput, TimedOut, workflow
from keepstep.testing import run
from tests.runtime.crashing import World, crash_at_every_commit


@workflow(timeout="2h")
async def dawdle(turns: int) -> None:
    await keepstep.sleep("8m")
    if turns:
        keepstep.continue_as_new(turns - 1)
    await keepstep.sleep("5h")


@workflow(timeout="2h")
class Dawdler:
    async def run(self) -> str:
        return await keepstep.receive("go", str)

    @keepstep.update
    def greet(self) -> str:
        return "hello"


@workflow
async def mind_a_dawdler(timeout: str, attributes: dict[str, Any]) -> str:
    child = await keepstep.start_child(dawdle, 0, id="minded", timeout=timeout, attributes=attributes)
    try:
        await child
    except TimedOut as error:
        return str(error)
    return "it has come to its end"


Program = Callable[[World], Awaitable[Any]]


def play(program: Program) -> Any:
    async def whole() -> Any:
        world = World()
        try:
            return await program(world)
        finally:
            await world.close()

    return run(whole)


async def seconds_until_timeout(handle: keepstep.RunHandle[Any]) -> float:
    """From the start of the newest run of the id to its end by its timeout."""
    with pytest.raises(TimedOut):
        await handle.result()
    info = await handle.describe()
    assert info.closed_at is not None
    assert info.status == "timed_out"
    return (info.closed_at - info.started_at).total_seconds()


def test_a_start_may_give_a_run_another_timeout_which_each_run_has_as_which_it_continues() -> None:
    async def program(engine: Engine) -> tuple[float, int]:
        await engine.start(dawdle, 2, id="dawdle", timeout="20m")
        seconds = await seconds_until_timeout(engine.get("dawdle"))
        return seconds, await engine.count("Status = 'continued'")

    def check(seen: tuple[float, int], crashes: int) -> None:
        assert seen[0] == pytest.approx(1200, abs=crashes * 60)
        assert seen[1] == 2

    assert crash_at_every_commit(program, check, poll_seconds=30) >= 10


def test_without_one_the_timeout_is_that_of_the_code() -> None:
    async def program(world: World) -> float:
        engine = await world.open(poll_seconds=30)
        await engine.start(Dawdler, id="code")
        return await seconds_until_timeout(engine.get("code"))

    assert play(program) == pytest.approx(7200, abs=1)


@pytest.mark.parametrize("way", ["debounced", "signalled", "updated", "delayed", "scheduled"])
def test_every_way_to_start_a_run_takes_a_timeout(way: str) -> None:
    async def program(world: World) -> float:
        engine = await world.open(poll_seconds=30)
        if way == "debounced":
            await engine.debounce(dawdle, 1, key="d", delay="1m", timeout="20m")
            return await seconds_until_timeout(await newest(engine))
        if way == "signalled":
            await engine.signal_with_start(Dawdler, id="s", signal="unheard", timeout="20m")
        elif way == "updated":
            greeting = engine.update_with_start(Dawdler, id="s", update=Dawdler.greet, run_timeout="20m")
            assert await greeting == "hello"
        elif way == "delayed":
            await engine.start(dawdle, 1, id="s", delay="3h", timeout="20m")
        else:
            await engine.schedule("s", dawdle, 1, every="1h", limit=1, timeout="20m")
            await asyncio.sleep(3700)
            return await seconds_until_timeout(await newest(engine))
        return await seconds_until_timeout(engine.get("s"))

    assert play(program) == pytest.approx(1200, abs=60)


async def newest(engine: Engine) -> keepstep.RunHandle[Any]:
    """Of the runs, that which is going on, or will."""
    await asyncio.sleep(120)
    [found] = [each async for each in engine.list("Status = 'running'")]
    return engine.get(found.id)


def test_a_child_gets_a_timeout_and_attributes_by_which_it_is_found() -> None:
    async def program(world: World) -> tuple[list[str], str]:
        engine = await world.open(poll_seconds=30)
        parent = await engine.start(mind_a_dawdler, "20m", {"customer": "c7", "note": {"any": ["thing"]}}, id="p")
        await asyncio.sleep(1)
        found = [each.id async for each in engine.list("customer = 'c7'")]
        assert (await engine.get("minded").describe()).attributes == {"customer": "c7", "note": {"any": ["thing"]}}
        said = await parent.result()
        assert await seconds_until_timeout(engine.get("minded")) == pytest.approx(1200, abs=1)
        return found, said

    found, said = play(program)
    assert found == ["minded"]
    assert "timeout" in said


def test_attributes_of_a_child_that_do_not_fit_their_type_block_the_parent_which_says_why() -> None:
    async def program(world: World) -> Any:
        engine = await world.open(poll_seconds=30)
        await engine.attributes.register(customer="int")
        parent = await engine.start(mind_a_dawdler, "20m", {"customer": "c7"}, id="p")
        await asyncio.sleep(1)
        assert await engine.count("WorkflowType = 'dawdle'") == 0
        return await parent.describe()

    info = play(program)
    assert info.condition == "blocked"
    assert "customer" in str(info.error)


@pytest.mark.parametrize("timeout", ["soon", -1, True])
def test_a_timeout_that_is_none_is_refused_before_anything_is_started(timeout: Any) -> None:
    async def program(world: World) -> None:
        engine = await world.open(poll_seconds=30)
        with pytest.raises(InvalidInput, match="duration"):
            await engine.start(dawdle, 0, id="r", timeout=timeout)
        assert await engine.count() == 0

    play(program)
