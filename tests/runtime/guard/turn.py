"""Run a function as workflow code: under a frame of the engine, between the beginning and the end of a turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keepstep.runtime.guard import turn_begins, turn_ends

# The watch stops its walk at the engine's frames, which it knows by the name of their module.
_ENGINE: dict[str, Any] = {"__name__": "keepstep.runtime.execution", "turn_begins": turn_begins, "turn_ends": turn_ends}
exec(
    """
def run(function):
    turn_begins()
    try:
        return function()
    finally:
        turn_ends()

def call(function):
    return function()
""",
    _ENGINE,
)

run_turn: Callable[[Callable[[], Any]], Any] = _ENGINE["run"]
call_from_engine: Callable[[Callable[[], Any]], Any] = _ENGINE["call"]
