"""Telling: how a step on a queue hears that it is to end, from a run that waits for its end (``on_cancel="wait"``).

The run's owner writes a mark as state of the run, which outlives both workers. Whoever executes the step looks for it
before it begins, and from time to time meanwhile. One that is marked when its turn comes is not executed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from keepstep.runtime.step import Step

from .heart import Heart

logger = logging.getLogger("keepstep.worker")

TOLD = "told_to_end"
"""State kind: a mark that the code has cancelled the step, by its key."""

LOOK_SECONDS = 1.0


class Telling:
    """Looks for the mark while an attempt is executed in the current task."""

    def __init__(self, step: Step[Any, Any], look: Callable[[], Awaitable[bytes]]) -> None:
        self.is_told = False
        self._step = step
        self._look = look
        self._executing = asyncio.current_task()
        self._looking: asyncio.Task[None] | None = None

    def begin(self, heart: Heart) -> None:
        """The step is about to be called."""
        if self._step.run_options.on_cancel == "wait":
            self._looking = asyncio.create_task(self._tell(heart))

    def end(self) -> None:
        """The call has ended."""
        if self._looking is not None:
            self._looking.cancel()

    async def _tell(self, heart: Heart) -> None:
        while not await self._look():
            await asyncio.sleep(LOOK_SECONDS)
        self.is_told = True
        if not self._step.is_async:
            heart.is_over = True
        elif heart.task is not None:
            heart.task.cancel()
        elif self._executing is not None:
            self._executing.cancel()
