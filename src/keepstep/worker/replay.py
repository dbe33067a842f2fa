"""Replay: a run is brought to where it stands for somebody who only looks; nothing is begun and nothing is written."""

from __future__ import annotations

import asyncio
from typing import Protocol

from keepstep.journal import Loaded
from keepstep.runtime.execution import Execution

from .watchdog import TurnTooLong


class TurnLimit(Protocol):
    """What interrupts code that does not come back, as a worker's watchdog does."""

    def enter(self) -> None: ...

    def go_on(self) -> None: ...

    def leave(self) -> bool: ...


def replay(execution: Execution, loaded: Loaded, limit: TurnLimit) -> BaseException | None:
    """Replay a whole history; what keeps the code from following it, if anything does."""
    limit.enter()
    try:
        try:
            execution.replay(loaded.events, is_first=loaded.run.epoch == 0, went_on=limit.go_on)
        finally:
            if limit.leave():
                raise TurnTooLong
    except (Exception, asyncio.CancelledError, SystemExit, GeneratorExit) as error:
        return error
    return None
