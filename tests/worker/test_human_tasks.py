"""Tasks for people are listed while they are open, and no longer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import keepstep
from keepstep import Engine, InvalidInput, WorkflowFailed, workflow


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


@pytest.mark.parametrize("fails", [False, True], ids=["completed", "failed"])
async def test_who_has_answered_a_task_is_in_the_history_and_the_first_answer_counts(
    tmp_path: Path, fails: bool
) -> None:
    async with Engine(f"sqlite:///{tmp_path / 'runs.db'}") as engine, asyncio.timeout(20):
        run = await engine.start(ask_then_wait, "Sign it", id="b")
        while not (tasks := [task async for task in engine.human_tasks()]):
            await asyncio.sleep(0)
        if fails:
            await engine.fail_callback(tasks[0].token, "not this one", by="Ann")
        else:
            await engine.complete_callback(tasks[0].token, "signed", by="Ann")
        await engine.complete_callback(tasks[0].token, "late", by="Bob")
        await run.signal("go on")
        if fails:
            with pytest.raises(WorkflowFailed, match="not this one"):
                await run.result()
        else:
            assert await run.result() == "signed"
        answered = [event async for event in run.history() if event.type.startswith("callback_") and "by" in event.data]
        assert [(event.type, event.data["by"]) for event in answered] == [
            ("callback_failed" if fails else "callback_completed", "Ann")
        ]


async def test_a_name_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    async with Engine(f"sqlite:///{tmp_path / 'runs.db'}") as engine, asyncio.timeout(20):
        await engine.start(ask_then_wait, "Look at it", id="c")
        while not (tasks := [task async for task in engine.human_tasks()]):
            await asyncio.sleep(0)
        for by in ("x" * 201, 7):
            with pytest.raises(InvalidInput, match="who has answered"):
                await engine.complete_callback(tasks[0].token, "seen", by=by)  # type: ignore[arg-type]  # on purpose
        assert len([task async for task in engine.human_tasks()]) == 1
