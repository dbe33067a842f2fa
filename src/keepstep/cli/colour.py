"""Colours: which one a state has, in whichever table or line it stands.

Only what a terminal shows is coloured; ``NO_COLOR`` in the environment, and pipes, get plain text.
"""

from __future__ import annotations

from typing import NamedTuple

from keepstep.client.info import RunInfo
from keepstep.journal import Condition, Status

STATUS_COLOURS: dict[str, str] = {
    Status.RUNNING: "cyan",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.TIMED_OUT: "red",
    Status.CANCELLED: "yellow",
    Status.TERMINATED: "yellow",
    Status.CONTINUED: "blue",
    Condition.BLOCKED: "red",
    Condition.UNCERTAIN: "red",
    Condition.QUARANTINED: "red",
    Condition.PAUSED: "yellow",
    Condition.COMPENSATING: "yellow",
}
"""Of statuses and of conditions; those that are not here look as running ones do."""


class Coloured(NamedTuple):
    """Text of a cell, and its colour."""

    text: str
    colour: str


def state_of(info: RunInfo) -> Coloured:
    """Status and condition of a run; of an open one the condition gives the colour."""
    text = f"{info.status.value} ({info.condition.value})" if info.condition else info.status.value
    return Coloured(text, colour_of(info.condition or info.status))


def colour_of(state: str) -> str:
    """Of a status or a condition."""
    return STATUS_COLOURS.get(state, STATUS_COLOURS[Status.RUNNING])
