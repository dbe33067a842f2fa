"""Watching: tells observers what this worker does, in their own words. Used only where somebody observes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from keepstep.journal import Promise, Status, Task
from keepstep.runtime.operation import StepOperation
from keepstep.runtime.step import Step

from .attempt import AttemptRecord
from .observer import AttemptOutcome, LostAttempt, ObservedAttempt, Observers
from .remote_work import RemoteWork

if TYPE_CHECKING:
    from .attempt import Attempt
    from .resident import Resident
    from .worker import Worker


EPOCHS_BETWEEN_OWNERS = 2
"""By so much a run's epoch grows from owner to owner: one when it is taken or given back, one when it is claimed."""


class Watching:
    """The eyes of one worker."""

    def __init__(self, worker: Worker, observers: Observers) -> None:
        self._worker = worker
        self._clock = worker.journal.clock
        self._observers = observers

    # runs

    def begin(self, resident: Resident, *, is_first: bool) -> None:
        """A run is about to be brought into memory."""
        if is_first:
            run = resident.execution.identity
            waited = max(self._clock.now() - run.started_at, 0) / 1e6
            self._observers.tell(lambda each: each.run_begun(run, waited))

    def replayed(self, resident: Resident) -> None:
        """A run was replayed here, and nothing of it has been begun yet."""
        run = resident.execution.identity
        lost = [
            LostAttempt(self._observed(resident, each, resident.epoch - EPOCHS_BETWEEN_OWNERS), each.asked_at)
            for each in resident.execution.pending.values()
            if isinstance(each, StepOperation) and each.step.run_options.queue is None and _was_in_hand(resident, each)
        ]
        self._observers.tell(lambda each: each.run_replayed(run, lost))

    def blocked(self, resident: Resident) -> None:
        """The code does not fit."""
        run = resident.execution.identity
        self._observers.tell(lambda each: each.run_blocked(run))

    def closed(self, resident: Resident, status: Status, ended_at: int) -> None:
        """The last commit of a run is durable."""
        run = resident.execution.identity
        self._observers.tell(lambda each: each.run_closed(run, status, ended_at))

    def lease_lost(self) -> None:
        """Everything begins anew."""
        self._observers.tell(lambda each: each.lease_lost())

    # commits

    def timed(self, heard: Callable[[Promise], None]) -> Callable[[Promise], None]:
        """Who is to hear of a commit that is handed in now, and tells how long it took."""
        return partial(self._committed, heard, self._clock.monotonic())

    def _committed(self, heard: Callable[[Promise], None], since: float, done: Promise) -> None:
        seconds, error = self._clock.monotonic() - since, done.exception()
        self._observers.tell(lambda each: each.committed(seconds, error))
        heard(done)

    # attempts

    async def attempt(self, attempt: Attempt, work: Awaitable[None]) -> None:
        """The work of an attempt in the worker that owns the run."""
        resident, operation = attempt.resident, attempt.operation
        observed = self._observed(resident, operation, resident.epoch)
        since = self._clock.monotonic()
        begun = self._observers.tell(lambda each: each.attempt_begun(observed))
        try:
            await work
        finally:
            outcome = _outcome_of(attempt, observed.number)
            seconds = self._clock.monotonic() - since
            self._observers.attempt_ended(observed, begun, outcome, seconds, attempt.failure)

    async def remote(self, task: Task, step: Step[Any, Any], work: RemoteWork, call: Awaitable[Any]) -> Any:
        """The call of a step from a queue."""
        number = work.record.attempts + 1
        waited = work.waited_seconds(task, self._clock.now())
        observed = ObservedAttempt(
            task.run_id, task.workflow_id, step.name, task.key, number, task.queue, task.token.epoch, waited
        )
        since = self._clock.monotonic()
        begun = self._observers.tell(lambda each: each.attempt_begun(observed))
        error: BaseException | None = None
        try:
            return await call
        except BaseException as raised:
            error = raised
            raise
        finally:
            outcome = self._outcome_of_remote(step, work.record, error)
            self._observers.attempt_ended(observed, begun, outcome, self._clock.monotonic() - since, error)

    def _outcome_of_remote(
        self, step: Step[Any, Any], record: AttemptRecord, error: BaseException | None
    ) -> AttemptOutcome:
        if error is None:
            return AttemptOutcome.COMPLETED
        if isinstance(error, asyncio.CancelledError):
            return AttemptOutcome.CANCELLED
        pause = self._worker.steps.pause(step, record.attempts + 1, record.first_at, error)
        return AttemptOutcome.FAILED if pause is None else AttemptOutcome.RETRIED

    def _observed(self, resident: Resident, operation: StepOperation, epoch: int) -> ObservedAttempt:
        record = resident.attempts.get(operation.key)
        return ObservedAttempt(
            resident.run_id,
            resident.execution.identity.workflow_id,
            operation.step.name,
            operation.key,
            1 if record is None else record.attempts + 1,
            None,
            epoch,
        )


def _was_in_hand(resident: Resident, operation: StepOperation) -> bool:
    """Not one that waited for its next attempt, or for a person."""
    record = resident.attempts.get(operation.key)
    if record is None:
        return True
    return not record.is_parked and record.next_at <= resident.worker.journal.clock.now()


def _outcome_of(attempt: Attempt, number: int) -> AttemptOutcome:
    """What came of it, by what the run remembers of it now."""
    if attempt.resident.is_dropped and not attempt.resident.is_closing:
        return AttemptOutcome.LEFT
    if attempt.is_cancelled:
        return AttemptOutcome.CANCELLED
    if attempt.failure is None:
        return AttemptOutcome.COMPLETED
    key = attempt.operation.key
    record = attempt.resident.attempts.get(key)
    if attempt.operation.abandoned or key in attempt.resident.answered or record is None:
        return AttemptOutcome.FAILED
    if record.is_parked or record.once_begun:
        return AttemptOutcome.PARKED
    return AttemptOutcome.RETRIED if record.attempts >= number else AttemptOutcome.FAILED
