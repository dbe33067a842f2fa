"""Workflows of what stands around runs: schedules, queues, tasks for people. No other test counts their runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

import keepstep
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


class Verdict(Enum):
    YES = "yes"
    NO = "no"


@dataclass
class Review:
    verdict: Verdict
    note: str = ""


@workflow
async def review_shown(title: str, assignee: str | None, due_in: float) -> str:
    due = keepstep.now() + timedelta(seconds=due_in)
    review: Review = await keepstep.human_task(title, form=Review, assignee=assignee, due=due)
    return f"{review.verdict.value}: {review.note}"
