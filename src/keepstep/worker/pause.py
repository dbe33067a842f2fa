"""Pause: a run that stands still until somebody resumes it.

The journal offers nobody a run whose condition is ``paused``. A worker that has the run in memory learns of it by a
message: it begins no step and delivers nothing more, records what the steps bring that are being executed, and gives
the run back. What was recorded or said meanwhile is delivered when the run is resumed and replayed. A step that was
handed to another queue before is not called back; its result waits like everything that is said to the run.
"""

from __future__ import annotations

from collections.abc import Iterable

from keepstep.journal import Condition, Message

PAUSE = "pause"
RESUME = "resume"


def of_pausing(messages: Iterable[Message]) -> list[Message]:
    """Those that ask to pause or to resume."""
    return [each for each in messages if each.kind in (PAUSE, RESUME)]


def is_paused(condition: Condition, messages: Iterable[Message]) -> bool:
    """Whether a run is to stand still: by the last word said to it, and without one by its condition."""
    said = of_pausing(messages)
    return said[-1].kind == PAUSE if said else condition is Condition.PAUSED
