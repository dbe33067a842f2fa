"""Runs a workflow with one code, closes its process, and goes on with another code in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import keepstep
from keepstep import Engine, workflow
from keepstep.journal import Condition
from keepstep.runtime.registry import forget
from keepstep.runtime.workflow import Workflow
from keepstep.testing import run
from tests.runtime.crashing import World

Code = Callable[[], Awaitable[Any]] | Callable[[], str]

NAME = "changing"


def deploy(code: Code) -> Workflow[Any, Any]:
    """The workflow ``changing`` with this code."""
    forget("workflow", NAME)
    return workflow(name=NAME, guard=False)(code)


async def until_shown(engine: Engine, condition: Condition, id: str = NAME) -> keepstep.RunInfo:
    """Wait until the run is in that condition."""
    while True:
        info = await engine.get(id).describe()
        if info.condition is condition:
            return info
        await asyncio.sleep(0.1)


def after_deploying(old: Code, new: Code, judge: Callable[[Engine], Awaitable[Any]]) -> Any:
    """Run ``old`` until it waits for the signal ``go``, deploy ``new`` in another process, let ``judge`` look."""

    async def main() -> Any:
        world = World()
        first = await world.open()
        await first.start(deploy(old), id=NAME)
        await until_shown(first, Condition.WAITING)
        await first.close()
        world.engines.remove(first)
        deploy(new)
        engine = await world.open()
        await engine.signal(NAME, "go")
        judged = await judge(engine)
        await world.close()
        return judged

    return run(main)


async def result_of(engine: Engine) -> Any:
    return await engine.get(NAME).result(timeout=60)


async def block_of(engine: Engine) -> tuple[str, dict[str, Any], list[str]]:
    """The summary, the diff, and the types of the events of the blocked run."""
    info = await until_shown(engine, Condition.BLOCKED)
    assert info.status == "running"
    events = [event.type async for event in engine.get(NAME).history()]
    assert info.detail.blocked is not None
    return info.error or "", info.detail.blocked, events
