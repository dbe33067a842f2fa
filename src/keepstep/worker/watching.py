"""Watching: tells observers what this worker does, in their own words. Used only where somebody observes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

from keepstep.journal import (
    Commit,
    Event,
    Fenced,
    Journal,
    JournalError,
    NotFound,
    Promise,
    Run,
    RunClosed,
    Status,
    Task,
)
from keepstep.runtime import history
from keepstep.runtime.execution import Identity
from keepstep.runtime.operation import StepOperation
from keepstep.runtime.step import Step

from .attempt import AttemptRecord
from .identity import identity_of
from .observer import AttemptOutcome, LostAttempt, ObservedAttempt, Observers
from .remote_work import RemoteWork
from .said import Hearing, Said, SaidKind, SaidOutcome

if TYPE_CHECKING:
    from .attempt import Attempt
    from .resident import Resident
    from .worker import Worker


logger = logging.getLogger("keepstep.worker")

EVENTS_PAGE = 1000

EPOCHS_BETWEEN_OWNERS = 2
"""By so much a run's epoch grows from owner to owner: one when it is taken or given back, one when it is claimed."""


async def hear_all(journal: Journal, run: Run) -> tuple[Hearing, Event | None]:
    """What was said to a run by its history, and the last event of that."""
    hearing, last, seq = Hearing(), None, 0
    while page := await journal.read_events(run.run_id, seq, EVENTS_PAGE):
        for last in page:
            hearing.hear(last)
        seq = page[-1].seq
    return hearing, last


def tell_closed(observers: Observers, run: Run, status: Status, ended_at: int, hearing: Hearing) -> None:
    """Tell of the end of a run that is in nobody's memory here."""
    _tell_closed(observers, identity_of(run), status, ended_at, hearing)


def _tell_closed(observers: Observers, run: Identity, status: Status, ended_at: int, hearing: Hearing) -> None:
    said = tuple(hearing.said)
    observers.tell(lambda each: each.run_closed(run, status, ended_at, said, hearing.reopened_at))


class Watching:
    """The eyes of one worker."""

    def __init__(self, worker: Worker, observers: Observers) -> None:
        self._worker = worker
        self._clock = worker.journal.clock
        self._observers = observers
        self._looks = 0
        self._has_looked = asyncio.Event()
        self._has_looked.set()

    # runs

    def begin(self, resident: Resident, events: Sequence[Event], *, is_first: bool) -> None:
        """A run is about to be brought into memory, with what is recorded of it."""
        resident.hearing = Hearing(events)
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

    def recorded(self, resident: Resident, hearing: Hearing, event: Event) -> None:
        """An event of a run has become durable here."""
        said = hearing.hear(event)
        if said is not None:
            self._say(resident.execution.identity, said)

    def closed(self, resident: Resident, commit: Commit, status: Status) -> None:
        """The last commit of a run is durable."""
        run, hearing, last = resident.execution.identity, resident.hearing or Hearing(), commit.events[-1]
        for seq, new in enumerate(commit.events, commit.first_seq or 0):
            self.recorded(resident, hearing, history.recorded(seq, new))
        _tell_closed(self._observers, run, status, last.time, hearing)

    def went_on(self, run: Run, at: int) -> None:
        """A run whose start was debounced goes on as another one, without ever having been in memory."""
        tell_closed(self._observers, run, Status.CONTINUED, at, Hearing())

    def look_at_end(self, run_id: str, epoch: int) -> None:
        """A run was taken from this worker, under that epoch. Was it ended by somebody that nobody observes?

        Only its owner is one epoch behind such an end, so that no other worker tells of it.
        """
        self._looks += 1
        self._has_looked.clear()
        self._worker.spawn(self._look_at_end(run_id, epoch))

    async def until_looked(self) -> None:
        """Wait until observers have heard of everything that was lost."""
        await self._has_looked.wait()

    async def _look_at_end(self, run_id: str, epoch: int) -> None:
        try:
            await self._tell_end(run_id, epoch)
        finally:
            self._looks -= 1
            if not self._looks:
                self._has_looked.set()

    async def _tell_end(self, run_id: str, epoch: int) -> None:
        try:
            run = await self._worker.journal.read_run(run_id)
            if run is None or run.status is not Status.TERMINATED or run.epoch != epoch + 1:
                return
            hearing, last = await hear_all(self._worker.journal, run)
        except JournalError as error:
            logger.warning("observers do not hear of the end of run %s, which could not be read: %s", run_id, error)
            return
        if last is not None and not history.unpack(last.type, last.data).is_told:
            tell_closed(self._observers, run, Status.TERMINATED, last.time, hearing)

    # what is asked

    def answered(self, run: Identity, name: str, outcome: SaidOutcome, since: int) -> None:
        """A query was answered, or could not be."""
        now = self._clock.now()
        self._say(run, Said(SaidKind.QUERY, outcome, name, now, seconds=(now - since) / 1e6))

    def rejected(self, run: Identity, name: str, id: str) -> None:
        """An update was refused by its validator."""
        self._say(run, Said(SaidKind.UPDATE, SaidOutcome.REJECTED, name, self._clock.now(), id))

    def _say(self, run: Identity, said: Said) -> None:
        self._observers.tell(lambda each: each.run_said(run, said))

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
            end = partial(self._observers.attempt_ended, observed, begun)
            recorded = resident.last_submitted
            if recorded is None or recorded.done():
                end(outcome, seconds, attempt.failure)
            else:  # only then it is known whether the run was still its own
                told = partial(_tell_when_recorded, end, outcome, seconds, attempt.failure)
                recorded.add_done_callback(told, context=Context())

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


def _tell_when_recorded(
    end: Callable[[AttemptOutcome, float, BaseException | None], None],
    outcome: AttemptOutcome,
    seconds: float,
    error: BaseException | None,
    recorded: asyncio.Future[Any],
) -> None:
    """What came of an attempt did not come of it if the run was somebody else's, who tells of that."""
    is_lost = isinstance(recorded.exception(), Fenced | RunClosed | NotFound)
    end(AttemptOutcome.LEFT if is_lost else outcome, seconds, error)


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
