"""Tasks for people are listed while they are open, and no longer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import keepstep
from keepstep import Engine, workflow


@workflow
async def ask_then_wait(title: str) -> str:
    answer: str = await keepstep.human_task(title, form=str)
    await keepstep.receive("go on")
    return answer


async def test_a_completed_task_is_not_listed_any_more_though_its_run_goes_on(tmp_path: Path) -> None:
    async with Engine(f"sqlite:///{tmp_path / 'runs.db'}") as engine, asyncio.timeout(20):
        run = await engine.start(ask_then_wait, "Pick it", id="a")
        while not (tasks := [task async for task in engine.human_tasks()]):
            await asyncio.sleep(0)
        await engine.complete_callback(tasks[0].token, "picked")
        while [event async for event in run.history()][-1].type != "callback_completed":
            await asyncio.sleep(0)
        assert [task async for task in engine.human_tasks()] == []
        await run.signal("go on")
        assert await run.result() == "picked"
