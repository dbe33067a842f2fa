"""Outside: the other side of every step. It notes what really happened, whatever the engine believes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from keepstep.worker.attempt import StepInfo

from .programs import SPEAKING
from .record import Execution, Record

EFFECT_SECONDS_MAX = 0.02


class Outside:
    """A world that takes a moment before and after each effect, so that crashes can fall on both sides of it."""

    def __init__(self, record: Record, now: Callable[[], int], chance: random.Random, insert_effect: str) -> None:
        """``insert_effect``: how a transactional step leaves its receipt in the journal's own database."""
        self.insert_effect = insert_effect
        self._record = record
        self.now = now
        self._chance = chance

    def begin(self, info: StepInfo, name: str, process: int, premise: str, saga: str) -> Execution:
        """Somebody has called."""
        execution = Execution(
            number=len(self._record.executions) + 1,
            run_id=info.run_id,
            key=info.key,
            name=name,
            attempt=info.attempt,
            process=process,
            began=self.now(),
            premise=premise,
            saga=saga,
            headers=info.headers,
        )
        self._record.executions.append(execution)
        return execution

    def is_listened_to(self, info: StepInfo) -> bool:
        """Whether somebody wants to hear from the run's steps before they have ended."""
        start = self._record.starts.get(info.workflow_id)
        return start is not None and start.program[0] == SPEAKING

    def end(self, execution: Execution) -> str:
        """It is done; the receipt names this very execution."""
        execution.ended = self.now()
        execution.receipt = f"{execution.name}#{execution.number}"
        return execution.receipt

    async def take_time(self) -> None:
        await asyncio.sleep(self._chance.random() * EFFECT_SECONDS_MAX)
