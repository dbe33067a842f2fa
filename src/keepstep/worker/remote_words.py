"""Remote words: how what a step on a queue writes to streams reaches the history of its run.

Each batch is a message to the run, sent by a commit under the task's token: a worker that has lost the task cannot
speak any more. The message has an id, so that one that is sent again, because nobody knew whether it had arrived, is
dropped. The run's owner records it (``inbox``), before the step's answer, which is sent after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from keepstep.journal import (
    Commit,
    Fenced,
    InvalidInput,
    Journal,
    JournalError,
    NewMessage,
    NotFound,
    RunClosed,
    Task,
)
from keepstep.runtime.history import StreamWritten, pack

from .inbox import STREAM

logger = logging.getLogger("keepstep.worker")

TELLINGS_MAX = 8
"""So often is a batch sent while the journal is in trouble, or the run's inbox is full: over about 25 seconds."""

FINAL = (Fenced, NotFound, RunClosed, InvalidInput)
"""Errors after which no other try helps."""


class RemoteWords:
    """What one attempt of a step says under one token."""

    def __init__(self, journal: Journal, task: Task) -> None:
        self._journal = journal
        self._task = task
        self._sent = 0

    async def send(self, said: Sequence[StreamWritten]) -> None:
        """Returns when it is durable. Raises ``Fenced`` where the task is another worker's by now."""
        self._sent += 1
        task = self._task
        number = f"{task.token.task_id}/{task.token.epoch}/{self._sent}"
        message = NewMessage(run_id=task.run_id, kind=STREAM, name=task.key, id=number, data=pack(tuple(said)))
        commit = Commit(run_id=task.run_id, task_token=task.token, keep_task=True, send=(message,))
        pause = 0.1
        for tries in range(1, TELLINGS_MAX + 1):
            try:
                await self._journal.commit(commit)
                return
            except FINAL:
                raise
            except JournalError as error:
                logger.warning("what step %s of run %s says was not kept: %s", task.key, task.run_id, error)
                if tries == TELLINGS_MAX:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)
