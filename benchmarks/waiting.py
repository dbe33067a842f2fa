"""Waiting for the fleet to come to rest, judged by what any client can see."""

from __future__ import annotations

import asyncio

from keepstep import Engine

POLL_SECONDS = 0.05


async def until_waiting(engine: Engine, runs: int) -> None:
    """Until so many runs are shown as waiting."""
    while await engine.count("Condition = 'waiting'") < runs:
        await asyncio.sleep(POLL_SECONDS)


async def until_completed(engine: Engine, runs: int) -> None:
    """Until so many runs have completed."""
    while await engine.count("Status = 'completed'") < runs:
        await asyncio.sleep(POLL_SECONDS)
