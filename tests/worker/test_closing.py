"""A run closes, whatever is said to it at the last moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import keepstep
from keepstep import Engine, step, workflow

RUNS = 150


@step
async def say(token: str) -> str:
    return token


@workflow
async def wait_for_a_callback() -> str:
    answered = keepstep.callback()
    keepstep.set_attributes(token=await say(answered.token))
    answer: str = await answered.result(str)
    return await say(answer)


async def test_callbacks_that_come_twice_while_runs_are_closing_hold_up_none_of_them(tmp_path: Path) -> None:
    async def insist(engine: Engine, token: str) -> None:
        for _ in range(4):
            try:
                await engine.complete_callback(token, "done")
            except keepstep.RunClosed:
                return

    async with Engine(f"sqlite:///{tmp_path / 'runs.db'}") as engine, asyncio.timeout(60):
        runs = [await engine.start(wait_for_a_callback, id=str(number)) for number in range(RUNS)]
        tokens = [await _token(run) for run in runs]
        results = asyncio.gather(*(run.result(timeout=20) for run in runs))
        await asyncio.gather(*(insist(engine, token) for token in tokens))
        assert set(await results) == {"done"}


async def _token(run: keepstep.RunHandle[str]) -> str:
    while True:
        async for event in run.history():
            if event.type == "step_completed":
                return str(event.data["payload"])
