"""The workflows of what stands around runs: schedules, queues, tasks for people. Other tests do not count their runs."""

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
