"""Remote steps: steps with ``queue=``, executed by whichever worker serves that queue.

The task says which step and with which arguments; the executing worker holds it under its lease, retries by the step's
policy, and answers with a message to the run. A worker that dies loses its lease, and the task is handed out again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import Commit, Fenced, JournalError, NewMessage, NotFound, Task
from keepstep.runtime.data import describe, encode, encode_failure, within_limit
from keepstep.runtime.errors import TimedOut
from keepstep.runtime.registry import find_step, steps
from keepstep.runtime.step import Step

from .attempt import AttemptRecord, StepInfo, enter_step
from .inbox import StepAnswer

if TYPE_CHECKING:
    from .worker import Worker

logger = logging.getLogger("keepstep.worker")

TASKS_MAX = 100


class RemoteWork(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The data of a step's task. The name and arguments come from the run, the record from earlier attempts."""

    step: str
    arguments: bytes
    workflow_id: str
    record: AttemptRecord = AttemptRecord()


_decode = msgspec.msgpack.Decoder(RemoteWork).decode


class RemoteSteps:
    """Claims and executes tasks of kind ``step``."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._news = asyncio.Event()
        self._busy: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There may be a task."""
        self._news.set()

    async def serve(self) -> None:
        """Claim and execute until cancelled."""
        options = self._worker.options
        while True:
            self._news.clear()
            claimed: list[Task] = []
            room = TASKS_MAX - len(self._busy)
            if room > 0 and not self._worker.steps.is_stopping and self._served():
                try:
                    journal = self._worker.journal
                    claimed = await journal.claim_tasks(self._worker.lease_id, options.queues, ("step",), room)
                except JournalError as error:
                    logger.warning("claiming steps failed: %s", error)
            for task in claimed:
                self._begin(task)
            if not claimed:
                try:
                    async with asyncio.timeout(options.poll_seconds):
                        await self._news.wait()
                except TimeoutError:
                    pass

    def _served(self) -> bool:
        return any(each.run_options.queue in self._worker.options.queues for each in steps())

    def _begin(self, task: Task) -> None:
        running = asyncio.create_task(self._execute(task))
        self._busy.add(running)
        running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._busy.discard(running)
        self._news.set()
        if not running.cancelled() and running.exception() is not None:
            logger.error("executing a step for a queue failed: %r", running.exception())

    async def _execute(self, task: Task) -> None:
        work = _decode(task.data)
        step = find_step(work.step)
        if step is None:
            pause = self._worker.journal.clock.now() + 5_000_000
            logger.warning("queue %r has step %r, which this worker does not know", task.queue, work.step)
            await self._put_back(task, work, pause)
            return
        began = work.record.first_at or self._worker.journal.clock.now()
        attempts = work.record.attempts + 1
        try:
            value = await self._call(task, step, work, attempts)
            payload = within_limit(step.signature.encode_result(value), "the result of step", step.name)
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            await self._failed(task, step, work, began, attempts, error)
        else:
            await self._answer(task, StepAnswer(True, payload, attempts, by=""))

    async def _call(self, task: Task, step: Step[Any, Any], work: RemoteWork, attempts: int) -> Any:
        enter_step(StepInfo(task.run_id, work.workflow_id, task.key, attempts, b"", _no_heart))
        args, kwargs = step.signature.decode_args(work.arguments)
        call = self._worker.steps.invoke(step, args, kwargs)
        seconds = step.run_options.timeout_seconds
        if seconds is None:
            return await call
        try:
            return await asyncio.wait_for(call, seconds)
        except TimeoutError as error:
            raise TimedOut(f"step {step.name!r} did not end within {seconds:g} s") from error

    async def _failed(
        self, task: Task, step: Step[Any, Any], work: RemoteWork, began: int, attempts: int, error: BaseException
    ) -> None:
        failure = encode_failure(describe(error))
        uncertain = work.record.is_uncertain or isinstance(error, TimedOut)
        pause = self._worker.steps.pause(step, attempts, began, error)
        if pause is None:
            await self._answer(task, StepAnswer(False, failure, attempts, uncertain))
            return
        next_at = self._worker.journal.clock.now() + round(pause * 1e6)
        record = AttemptRecord(attempts, began, next_at, failure, uncertain)
        await self._put_back(task, msgspec.structs.replace(work, record=record), next_at)

    async def _put_back(self, task: Task, work: RemoteWork, visible_at: int) -> None:
        data = msgspec.msgpack.encode(work)
        try:
            await self._worker.journal.release_task(
                task.token, visible_at=visible_at, attempt=work.record.attempts + 1, data=data
            )
        except (Fenced, NotFound):
            logger.info("the task of step %r of run %s was taken over or dropped", work.step, task.run_id)

    async def _answer(self, task: Task, said: StepAnswer) -> None:
        message = NewMessage(run_id=task.run_id, kind="step_result", name=task.key, data=msgspec.msgpack.encode(said))
        try:
            await self._worker.journal.commit(Commit(run_id=task.run_id, task_token=task.token, send=(message,)))
        except (Fenced, NotFound, JournalError) as error:
            logger.info("the answer of a step of run %s came too late: %s", task.run_id, error)


def _no_heart(details: Any) -> None:
    """Steps on queues are kept alive by their worker's lease; the details are only checked."""
    encode(details)
