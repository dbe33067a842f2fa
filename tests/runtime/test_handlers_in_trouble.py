"""Handlers of class workflows that meet changed code, do what they may not do, or fail in the middle of a saga."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

import pytest

import keepstep
from keepstep import Engine, RunHandle, TimedOut, WorkflowFailed, step, workflow
from keepstep.journal import Condition
from keepstep.runtime.registry import forget
from tests.runtime.crashing import World
from tests.runtime.deploying import until_shown
from tests.runtime.programs import on_an_engine


def class_of(kind: str) -> None:
    """Deploy the class ``changing_updates``: with an update, with one that takes its time, or without any."""
    forget("workflow", "changing_updates")

    @workflow(name="changing_updates")
    class Changing:
        async def run(self) -> None:
            await keepstep.receive("go")

        if kind != "without":

            @keepstep.update
            async def mend(self) -> str:
                if kind == "slow":
                    await keepstep.sleep("1h")
                return "mended"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("without", "history has an update 'mend', and the code has no such update any more"),
        ("slow", "history has the outcome of an update at this point, and the code's handler has not ended"),
    ],
)
def test_an_update_that_later_code_does_not_do_blocks_the_run_until_fitting_code_comes(kind: str, words: str) -> None:
    async def main() -> None:
        world = World()
        class_of("quick")
        first = await world.open()
        handle: RunHandle[None] = await first.start("changing_updates", id="changing")
        assert await handle.update("mend", id="u") == "mended"
        await first.close()
        world.engines.remove(first)
        class_of(kind)
        second = await world.open()
        await second.signal("changing", "go")
        info = await until_shown(second, Condition.BLOCKED, "changing")
        assert words in (info.error or "")
        await second.close()
        world.engines.remove(second)
        class_of("quick")
        third = await world.open()
        await third.get("changing").result(timeout=60)
        await world.close()

    keepstep.testing.run(main)


look_around = {"at": os.listdir}
"""So that what is called is seen only when it is called."""


@workflow
class LooksAround:
    """Has handlers that do what they may not do."""

    async def run(self) -> None:
        await keepstep.receive("go")

    @keepstep.update
    def tell_files(self) -> int:
        return len(look_around["at"]("/"))

    @keepstep.signal
    def note_files(self) -> None:
        look_around["at"]("/")


@pytest.mark.parametrize("by", ["update", "signal"])
def test_a_handler_that_looks_at_the_world_blocks_the_run_with_the_line_that_does(by: str) -> None:
    async def program(engine: Engine) -> None:
        handle = await engine.start(LooksAround, id="changing")
        asking = asyncio.ensure_future(
            handle.update("tell_files", timeout=5) if by == "update" else handle.signal("note_files")
        )
        info = await until_shown(engine, Condition.BLOCKED, "changing")
        assert "os.listdir" in (info.error or "")
        assert info.status == "running"
        with suppress(TimedOut):
            await asking

    on_an_engine(program)


@workflow
class Traveller:
    """Is interrupted by a handler that fails, in the middle of a saga."""

    async def run(self) -> None:
        async with keepstep.saga() as saga:
            saga.compensate(go_back, "home")
            await keepstep.receive("never")

    @keepstep.signal
    def break_leg(self) -> None:
        raise ValueError("a leg is broken")


ways_back: list[str] = []


@step
async def go_back(where: str) -> None:
    ways_back.append(where)
    await asyncio.sleep(10)


def test_a_saga_undoes_when_a_handler_fails_and_shows_why() -> None:
    async def program(engine: Engine) -> None:
        ways_back.clear()
        handle = await engine.start(Traveller, id="traveller")
        await handle.signal("break_leg")
        info = await until_shown(engine, Condition.COMPENSATING, "traveller")
        assert info.detail.because == "ValueError: a leg is broken"
        with pytest.raises(WorkflowFailed, match="a leg is broken"):
            await handle.result()

    on_an_engine(program)
    assert ways_back == ["home"]
