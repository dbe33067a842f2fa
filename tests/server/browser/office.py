"""Workflows of what stands around runs: schedules, queues, tasks for people. No other test counts their runs."""

from __future__ import annotations

from keepstep import step, workflow


@workflow
async def note_shown(n: int) -> int:
    """Is done at once."""
    return n


@step(queue="press")
async def print_poster_shown() -> None:
    pass


@workflow
async def print_posters_shown() -> None:
    """Nobody serves the queue of its step, until somebody does."""
    await print_poster_shown()
