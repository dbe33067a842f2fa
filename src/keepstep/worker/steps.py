"""Steps: executes attempts in this process, and decides what follows from how each ended.

An attempt that ends with an error is followed by a pause and another attempt, until the step's policy is used up; only
then does workflow code see ``StepFailed``. What must survive a crash between attempts is an ``AttemptRecord``. A crash
itself uses up no attempt: the step is simply begun again, except a ``once`` step, whose begin is durable before the
call and which is then *uncertain*.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import InvalidInput, JournalError
from keepstep.runtime.errors import Cancelled, Exited, RetryLater, TimedOut
from keepstep.runtime.interceptor import Executing, through
from keepstep.runtime.operation import StepOperation
from keepstep.runtime.step import Step

from .attempt import MAY_HAVE_HAPPENED, Attempt, AttemptRecord, enter_step, sealed_error, sealed_result
from .heart import Heart
from .probe import in_slices
from .resolution import Resolution, fail_once
from .runner import Runner
from .threads import Threads
from .transaction import Transactions

if TYPE_CHECKING:
    from .resident import Resident
    from .worker import Worker


logger = logging.getLogger("keepstep.worker")

ABANDONED_THREADS_MAX = 256
"""So many threads may go on with a sync step whose attempt is over before they keep others from running."""


class Steps:
    """The steps being executed by one worker; at most ``concurrent_max`` at once."""

    def __init__(self, worker: Worker, concurrent_max: int, threads_max: int) -> None:
        self._worker = worker
        self._free = concurrent_max
        self._queue: deque[Attempt] = deque()
        self._runner = Runner(self._perform)
        self._resolution = Resolution(worker, self.invoke)
        self._transactions = Transactions(worker, self)
        self._around = worker.interceptors.execute
        self._threads = Threads(threads_max + ABANDONED_THREADS_MAX, "keepstep-step")
        self._thread_places = asyncio.Semaphore(threads_max)
        self.is_stopping = False

    # beginning

    def begin(self, resident: Resident, operation: StepOperation) -> None:
        """Execute the step's next attempt, now or when its pause is over."""
        if self.is_stopping:
            return
        record = resident.attempts.get(operation.key)
        if record is not None and not self._may_begin(resident, operation, record):
            return
        resident.running[operation.key] = attempt = Attempt(resident, operation)
        if self._free > 0:
            self._free -= 1
            self._runner.run(attempt)
        else:
            self._queue.append(attempt)

    def withdraw(self, resident: Resident) -> None:
        """Do not begin those attempts of a run that still wait for a free place."""
        for attempt in self._queue:
            if attempt.resident is resident:
                attempt.is_cancelled = True
                resident.running.pop(attempt.operation.key, None)

    def begin_again(self, resident: Resident, operation: StepOperation) -> None:
        """Execute a parked step anew; its attempts have been forgotten."""
        if operation.step.run_options.queue is None:
            self.begin(resident, operation)
        else:
            resident._take_up([operation])

    def _may_begin(self, resident: Resident, operation: StepOperation, record: AttemptRecord) -> bool:
        if record.is_parked:
            return False
        if record.once_begun:
            self._resolution.begin(resident, operation, record)
            return False
        if record.next_at > self._worker.journal.clock.now():
            resident.wake_at(operation.key, record.next_at)
            return False
        return True

    def _perform(self, attempt: Attempt) -> Coroutine[Any, Any, None] | None:
        """The work of an attempt whose turn has come; None if nobody wants it any more."""
        if attempt.is_cancelled or attempt.resident.is_dropped or attempt.operation.abandoned:
            self.freed()
            return None
        options = attempt.operation.step.run_options
        if options.transaction:
            work = self._transactions.execute(attempt)
        else:
            work = self._execute_once(attempt) if options.once else self._execute(attempt)
        watching = self._worker.watching
        return work if watching is None else watching.attempt(attempt, work)

    def freed(self) -> None:
        """An attempt has ended: there is a place for another."""
        self._free += 1
        while self._free > 0 and self._queue and not self.is_stopping:
            attempt = self._queue.popleft()
            if not attempt.is_cancelled:
                self._free -= 1
                self._runner.run(attempt)

    # one attempt

    def record_of(self, resident: Resident, operation: StepOperation) -> AttemptRecord:
        """What is remembered of a step that begins. A limit over all attempts must outlive the first of them."""
        known = resident.attempts.get(operation.key)
        if known is not None:
            return known
        if operation.step.run_options.total_timeout_seconds is None:
            return _NO_ATTEMPT
        record = AttemptRecord(first_at=self._worker.journal.clock.now())
        resident.remember_attempt(operation.key, record)
        return record

    async def _execute(self, attempt: Attempt) -> None:
        resident, operation = attempt.resident, attempt.operation
        record = self.record_of(resident, operation)
        attempt.number = record.attempts + 1
        began = self._worker.journal.clock.now()
        failure: BaseException | None = None
        payload = b""
        try:
            payload = self.sealed(operation.step, await self._call(attempt, record))
        except asyncio.CancelledError:
            if attempt.is_told:
                failure = Cancelled(f"step {operation.step.name!r} was told to end")
            elif not attempt.is_cancelled:
                failure = TimedOut(f"step {operation.step.name!r} was cancelled by its own code")
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            failure = error
        finally:
            self.freed()
        if not attempt.is_current():
            return
        if attempt.voice is not None:
            attempt.voice.say_all()
        del resident.running[operation.key]
        if failure is not None:
            attempt.failure = failure
            if attempt.is_told:  # no other attempt follows
                uncertain = record.is_uncertain or isinstance(failure, (Cancelled, *MAY_HAVE_HAPPENED))
                resident.fail_step(operation, sealed_error(failure), attempt.number, uncertain)
            else:
                self.failed(resident, operation, record, began, failure)
        elif not attempt.is_cancelled:
            resident.complete_step(operation, payload, attempt.number)
        if resident.parking.is_under_way:
            resident.attempt_ended(operation.key)

    async def _execute_once(self, attempt: Attempt) -> None:
        """The begin of a ``once`` step is durable before the call."""
        resident, operation = attempt.resident, attempt.operation
        record = AttemptRecord(first_at=self._worker.journal.clock.now(), once_begun=True)
        try:
            await asyncio.shield(resident.remember_attempt(operation.key, record))
        except (JournalError, asyncio.CancelledError):  # whoever refused the commit has told the run of it
            self.freed()
            return
        try:
            try:
                payload = self.sealed(operation.step, await self._call(attempt, record))
            finally:
                attempt.said_all()
        except asyncio.CancelledError:
            if not attempt.is_cancelled:  # by the step's own code: nobody knows how far it came
                attempt.failure = TimedOut(f"step {operation.step.name!r} was cancelled by its own code")
                self._resolution.begin(resident, operation, record)
        except TimedOut as error:
            attempt.failure = error
            self._resolution.begin(resident, operation, msgspec.structs.replace(record, failure=sealed_error(error)))
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            attempt.failure = error
            fail_once(attempt, error)
        else:
            resident.complete_step(operation, payload, 1)
        finally:
            self.freed()
            if attempt.is_current():
                resident.attempt_ended(operation.key)

    def _call(self, attempt: Attempt, record: AttemptRecord) -> Awaitable[Any]:
        """The call of the user's function, within the step's limits of time."""
        step, resident = attempt.operation.step, attempt.resident
        enter_step(attempt)
        args, kwargs = step.signature.decode_args(attempt.operation.arguments)
        function = self.function_of(step, attempt.operation.headers) if self._around else step.fn
        if resident.is_probed:
            call = self.invoke(function, args, kwargs)
            probed = in_slices(resident, call) if step.is_async else self._worker.probe.on_thread(resident, call)
            return self.within_limits(step, probed, record, attempt.heart)
        if not step.is_async:
            return self._on_thread(step, function, args, kwargs, record, attempt.heart)
        if step.run_options.is_limited:
            return self.within_limits(step, self.invoke(function, args, kwargs), record, attempt.heart)
        return function(*args, **kwargs)  # type: ignore[no-any-return]

    def limited_call(
        self,
        step: Step[Any, Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        record: AttemptRecord,
        heart: Heart,
        headers: Mapping[str, str],
    ) -> Awaitable[Any]:
        """The call of any step's function, within the step's limits of time."""
        function = self.function_of(step, headers)
        if not step.is_async:
            return self._on_thread(step, function, args, kwargs, record, heart)
        return self.within_limits(step, self.invoke(function, args, kwargs), record, heart)

    def function_of(self, step: Step[Any, Any], headers: Mapping[str, str]) -> Callable[..., Any]:
        """The function of a step, with interceptors around it if there are any."""
        if not self._around:
            return step.fn
        return self.around(step, headers, lambda *args, **kwargs: self.invoke(step.fn, args, kwargs))

    def around(
        self, step: Step[Any, Any], headers: Mapping[str, str], perform: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        """What performs an attempt, with interceptors around it if there are any."""
        if not self._around:
            return perform

        async def intercepted(*args: Any, **kwargs: Any) -> Any:
            call = Executing(step=step, args=args, kwargs=kwargs, headers=dict(headers))
            return await through(self._around, call, lambda it: perform(*it.args, **it.kwargs))

        return intercepted

    async def _on_thread(
        self,
        step: Step[Any, Any],
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        record: AttemptRecord,
        heart: Heart,
    ) -> Any:
        """The attempt's time begins when there is a place for it, which it leaves although its thread may go on."""
        async with self._thread_places:
            if heart.is_over:
                raise Cancelled(f"step {step.name!r} was told to end before there was a thread for it")
            if not step.run_options.is_limited and not self._around:
                return await self._threaded(function, args, kwargs)
            return await self.within_limits(step, self.invoke(function, args, kwargs), record, heart)

    def _threaded(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> asyncio.Future[Any]:
        call = partial(contextvars.copy_context().run, function, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self._threads, call)

    def sealed(self, step: Step[Any, Any], value: Any) -> bytes:
        """What a step returned, as it is recorded. Raises ``ResultLost``."""
        return sealed_result(step, value, self._worker.journal.value_bytes_max)

    def within_limits(
        self, step: Step[Any, Any], call: Awaitable[Any], record: AttemptRecord, heart: Heart
    ) -> Awaitable[Any]:
        """A call, cut off when the step's time is over or its heartbeat is missing."""
        options = step.run_options
        seconds = self.seconds_left(step, record)
        if seconds is None and options.heartbeat_timeout_seconds is None:
            return call
        return heart.watch(call, step.name, seconds, options.heartbeat_timeout_seconds)

    def seconds_left(self, step: Step[Any, Any], record: AttemptRecord) -> float | None:
        """How long an attempt may take; None for as long as it wants."""
        seconds, total = step.run_options.timeout_seconds, step.run_options.total_timeout_seconds
        if total is None:
            return seconds
        left = self._left(record, total)
        return left if seconds is None else min(seconds, left)

    async def invoke(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call a user's function: on this loop if it is async, on a thread if it is not.

        Raises ``Exited`` for ``SystemExit``, which would go through every task on its way and end the process.
        """
        try:
            if inspect.iscoroutinefunction(function):
                return await function(*args, **kwargs)
            return await self._threaded(function, args, kwargs)
        except SystemExit as error:
            name = getattr(function, "__name__", repr(function))
            raise Exited(f"{name}() asked the process to exit with {error.code!r}; raise an error instead") from error

    def _left(self, record: AttemptRecord, total_seconds: float) -> float:
        if not record.first_at:
            return total_seconds
        spent = (self._worker.journal.clock.now() - record.first_at) / 1e6
        return max(total_seconds - spent, 0.001)

    # what follows

    def failed(
        self, resident: Resident, operation: StepOperation, record: AttemptRecord, began: int, error: BaseException
    ) -> None:
        """An attempt has ended with an error: another one follows, or the step has failed."""
        step = operation.step
        attempts = record.attempts + 1
        may_have_happened = isinstance(error, MAY_HAVE_HAPPENED) and not step.run_options.transaction
        uncertain = record.is_uncertain or may_have_happened
        pause = self.pause(step, attempts, record.first_at or began, error)
        if pause is None and not operation.is_undo:
            resident.fail_step(operation, sealed_error(error), attempts, uncertain)
            return
        if operation.abandoned or resident.is_dropped:
            return
        now = self._worker.journal.clock.now()
        failed = AttemptRecord(
            attempts,
            record.first_at or began,
            0 if pause is None else now + round(pause * 1e6),
            sealed_error(error),
            uncertain,
            is_parked=pause is None,
        )
        resident.remember_attempt(operation.key, failed)
        if pause is not None:
            resident.wake_at(operation.key, failed.next_at)

    def pause(self, step: Step[Any, Any], attempts: int, first_at: int, error: BaseException) -> float | None:
        """Seconds until the next attempt, or None if there is none."""
        options = step.run_options
        retry = options.retry
        if not retry.is_retryable(error) or isinstance(error, InvalidInput | Exited):
            return None
        if retry.max_attempts is not None and attempts >= retry.max_attempts:
            return None
        if isinstance(error, RetryLater):
            pause = error.after_seconds
        else:
            pause = retry.delay_seconds(attempts, self._worker.random)
        if options.total_timeout_seconds is not None:
            spent = (self._worker.journal.clock.now() - first_at) / 1e6
            if spent + pause >= options.total_timeout_seconds:
                return None
        return pause

    def stop(self) -> None:
        """Begin nothing more."""
        self.is_stopping = True
        for attempt in self._queue:
            attempt.resident.running.pop(attempt.operation.key, None)
        self._queue.clear()

    def close(self) -> None:
        """Let go of the threads; those that still execute a step are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


_NO_ATTEMPT = AttemptRecord()
