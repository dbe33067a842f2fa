"""Steps: executes attempts in this process, and decides what follows from how each ended.

An attempt that ends with an error is followed by a pause and another attempt, until the step's policy is used up; only
then does workflow code see ``StepFailed``. What must survive a crash between attempts is an ``AttemptRecord``. A crash
itself uses up no attempt: the step is simply begun again, except a ``once`` step, whose begin is durable before the
call and which is then *uncertain*.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import InvalidInput, StateChange
from keepstep.runtime.data import describe, encode, encode_failure, within_limit
from keepstep.runtime.errors import TimedOut, Uncertain
from keepstep.runtime.operation import StepOperation
from keepstep.runtime.saga import Outcome
from keepstep.runtime.step import Step

from .attempt import HEARTBEAT, AttemptRecord, StepInfo, enter_step
from .probe import in_slices

if TYPE_CHECKING:
    from .resident import Resident
    from .worker import Worker

HEARTBEAT_SECONDS_MIN = 1.0
"""Heartbeat details are made durable at most so often."""


class Steps:
    """The steps being executed by one worker; at most ``concurrent_max`` at once."""

    def __init__(self, worker: Worker, concurrent_max: int, threads_max: int) -> None:
        self._worker = worker
        self._free = concurrent_max
        self._queue: deque[tuple[Resident, StepOperation]] = deque()
        self._threads = ThreadPoolExecutor(threads_max, thread_name_prefix="keepstep-step")
        self.is_stopping = False

    # beginning

    def begin(self, resident: Resident, operation: StepOperation) -> None:
        """Execute the step's next attempt, now or when its pause is over."""
        if self.is_stopping:
            return
        record = resident.attempts.get(operation.key)
        if record is not None and not self._may_begin(resident, operation, record):
            return
        if self._free > 0:
            self._free -= 1
            self._execute(resident, operation)
        else:
            self._queue.append((resident, operation))
            resident.running[operation.key] = _QUEUED

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
            self._worker.spawn(self._settle_uncertain(resident, operation, record))
            return False
        if record.next_at > self._worker.journal.clock.now():
            resident.wake_at(operation.key, record.next_at)
            return False
        return True

    def _execute(self, resident: Resident, operation: StepOperation) -> None:
        attempt = self._attempt_once if operation.step.run_options.once else self._attempt
        resident.running[operation.key] = self._worker.loop.create_task(attempt(resident, operation))

    def _freed(self) -> None:
        self._free += 1
        while self._free > 0 and self._queue and not self.is_stopping:
            resident, operation = self._queue.popleft()
            if resident.is_dropped or operation.abandoned or operation.key not in resident.running:
                continue
            self._free -= 1
            self._execute(resident, operation)

    # one attempt

    async def _attempt(self, resident: Resident, operation: StepOperation) -> None:
        record = resident.attempts.get(operation.key) or _NO_ATTEMPT
        began = self._worker.journal.clock.now()
        mine = resident.running[operation.key]
        failure: BaseException | None = None
        payload = b""
        try:
            value = await self._call(resident, operation, record)
            payload = _sealed_result(operation.step, value)
        except asyncio.CancelledError:
            if not mine.cancelling():
                failure = TimedOut(f"step {operation.step.name!r} was cancelled by its own code")
        except (Exception, SystemExit) as error:
            failure = error
        finally:
            self._freed()
        if resident.running.get(operation.key) is not mine:
            return
        del resident.running[operation.key]
        if failure is not None:
            self._failed(resident, operation, record, began, failure)
        elif not mine.cancelling():
            resident.complete_step(operation, payload, record.attempts + 1)
        if resident.blocked is not None:
            resident.attempt_ended(operation.key)

    async def _attempt_once(self, resident: Resident, operation: StepOperation) -> None:
        """The begin of a ``once`` step is durable before the call."""
        began = self._worker.journal.clock.now()
        record = AttemptRecord(first_at=began, once_begun=True)
        mine = resident.running[operation.key]
        try:
            await resident.remember_attempt(operation.key, record)
        except BaseException:
            self._freed()
            raise
        try:
            value = await self._call(resident, operation, record)
            payload = _sealed_result(operation.step, value)
        except asyncio.CancelledError:
            if not mine.cancelling():  # by the step's own code: nobody knows how far it came
                self._worker.spawn(self._settle_uncertain(resident, operation, record))
        except TimedOut as error:
            parked = msgspec.structs.replace(record, attempts=1, failure=_sealed(error), is_uncertain=True)
            self._worker.spawn(self._settle_uncertain(resident, operation, parked))
        except (Exception, SystemExit) as error:
            resident.fail_step(operation, _sealed(error), 1, uncertain=False)
        else:
            resident.complete_step(operation, payload, 1)
        finally:
            self._freed()
            if resident.running.get(operation.key) is asyncio.current_task():
                resident.attempt_ended(operation.key)

    async def _call(self, resident: Resident, operation: StepOperation, record: AttemptRecord) -> Any:
        step, options = operation.step, operation.step.run_options
        heart = Heart(resident, operation.key)
        self._enter(resident, operation.key, record.attempts + 1, heart)
        args, kwargs = step.signature.decode_args(operation.arguments)
        seconds = options.timeout_seconds
        if options.total_timeout_seconds is not None:
            left = self._left(record, options.total_timeout_seconds)
            seconds = left if seconds is None else min(seconds, left)
        silence_seconds = options.heartbeat_timeout_seconds
        if seconds is None and silence_seconds is None and not resident.is_probed and step.is_async:
            return await step.fn(*args, **kwargs)
        call = self.invoke(step, args, kwargs)
        if resident.is_probed:
            call = in_slices(resident, call) if step.is_async else self._worker.probe.on_thread(resident, call)
        if seconds is None and silence_seconds is None:
            return await call
        return await heart.watch(call, step.name, seconds, silence_seconds)

    @staticmethod
    def _enter(resident: Resident, key: str, attempt: int, heart: Heart) -> None:
        details = resident.heartbeats.get(key, b"") if resident.heartbeats else b""
        workflow_id = resident.execution.identity.workflow_id
        enter_step(StepInfo(resident.run_id, workflow_id, key, attempt, details, heart.beat))

    async def invoke(self, step: Step[Any, Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call the user's function: on this loop if it is async, on a thread if it is not."""
        if step.is_async:
            return await step.fn(*args, **kwargs)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: context.run(step.fn, *args, **kwargs))

    def _left(self, record: AttemptRecord, total_seconds: float) -> float:
        if not record.first_at:
            return total_seconds
        spent = (self._worker.journal.clock.now() - record.first_at) / 1e6
        return max(total_seconds - spent, 0.001)

    # what follows

    def _failed(
        self, resident: Resident, operation: StepOperation, record: AttemptRecord, began: int, error: BaseException
    ) -> None:
        step = operation.step
        attempts = record.attempts + 1
        uncertain = record.is_uncertain or isinstance(error, TimedOut)
        pause = self.pause(step, attempts, record.first_at or began, error)
        if pause is None and not operation.is_undo:
            resident.fail_step(operation, _sealed(error), attempts, uncertain)
            return
        if operation.abandoned or resident.is_dropped:
            return
        now = self._worker.journal.clock.now()
        failed = AttemptRecord(
            attempts,
            record.first_at or began,
            0 if pause is None else now + round(pause * 1e6),
            _sealed(error),
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
        if not retry.is_retryable(error) or isinstance(error, InvalidInput):
            return None
        if retry.max_attempts is not None and attempts >= retry.max_attempts:
            return None
        pause = retry.delay_seconds(attempts, self._worker.random)
        if options.total_timeout_seconds is not None:
            spent = (self._worker.journal.clock.now() - first_at) / 1e6
            if spent + pause >= options.total_timeout_seconds:
                return None
        return pause

    async def _settle_uncertain(self, resident: Resident, operation: StepOperation, record: AttemptRecord) -> None:
        """A ``once`` step was begun and never recorded: ask its resolver, or park it for a person."""
        resolver = operation.step.run_options.resolver
        resident.running[operation.key] = _QUEUED
        try:
            if resolver is not None and await self._resolve(resident, operation, resolver):
                return
        finally:
            resident.running.pop(operation.key, None)
        if resident.is_dropped or operation.abandoned:
            return
        error = Uncertain(f"step {operation.step.name!r} was begun and its result was never recorded")
        failure = record.failure or _sealed(error)
        resident.remember_attempt(
            operation.key,
            msgspec.structs.replace(record, attempts=1, failure=failure, is_uncertain=True, is_parked=True),
        )

    async def _resolve(self, resident: Resident, operation: StepOperation, resolver: Callable[..., Any]) -> bool:
        """True if the resolver knew what happened."""
        args, kwargs = operation.step.signature.decode_args(operation.arguments)
        self._enter(resident, operation.key, 1, Heart(resident, operation.key))
        try:
            said = resolver(*args, **kwargs)
            if asyncio.iscoroutine(said):
                said = await said
        except Uncertain:
            return False
        except Exception as error:
            resident.fail_step(operation, _sealed(error), 1, uncertain=False, resolved_by="resolver")
            return True
        if isinstance(said, Outcome):
            if said.uncertain:
                return False
            if said.failed:
                refusal = Uncertain(said.error or "the resolver says that it did not happen")
                resident.fail_step(operation, _sealed(refusal), 1, uncertain=False, resolved_by="resolver")
                return True
            said = said.result
        resident.complete_step(operation, _sealed_result(operation.step, said), 1, resolved_by="resolver")
        return True

    def stop(self) -> None:
        """Begin nothing more."""
        self.is_stopping = True
        for resident, operation in self._queue:
            resident.running.pop(operation.key, None)
        self._queue.clear()

    def close(self) -> None:
        """Let go of the threads; those that still execute a step are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Heart:
    """The heartbeat of one attempt."""

    def __init__(self, resident: Resident, key: str) -> None:
        self._resident = resident
        self._key = key
        self._loop = resident.worker.loop
        self._beat_at = 0.0
        self._kept_at = float("-inf")

    def beat(self, details: Any) -> None:
        """Called by user code, from the loop or from a thread."""
        self._beat_at = self._loop.time()
        payload = within_limit(encode(details), "the heartbeat's details")
        self._loop.call_soon_threadsafe(self._keep, payload)

    def _keep(self, payload: bytes) -> None:
        resident = self._resident
        now = resident.worker.journal.clock.monotonic()
        if resident.is_dropped or self._key not in resident.running or now - self._kept_at < HEARTBEAT_SECONDS_MIN:
            return
        self._kept_at = now
        resident.heartbeats[self._key] = payload
        resident.state_keys.add((HEARTBEAT, self._key))
        resident.append(state=[StateChange(HEARTBEAT, self._key, payload)])

    async def watch(self, call: Any, name: str, seconds: float | None, silence_seconds: float | None) -> Any:
        """Await the call, but not longer than allowed, nor without a heartbeat for longer than allowed."""
        task = asyncio.ensure_future(call)
        began = self._beat_at = self._loop.time()
        deadline = began + (float("inf") if seconds is None else seconds)
        silence = float("inf") if silence_seconds is None else silence_seconds
        try:
            while True:
                done, _ = await asyncio.wait(
                    (task,), timeout=min(deadline, self._beat_at + silence) - self._loop.time()
                )
                if done:
                    return task.result()
                if self._loop.time() >= deadline:
                    raise TimedOut(f"step {name!r} did not end within {seconds:g} s")
                if self._loop.time() >= self._beat_at + silence:
                    raise TimedOut(f"step {name!r} sent no heartbeat for {silence:g} s")
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,), timeout=0.05)


def _sealed_result(step: Step[Any, Any], value: Any) -> bytes:
    return within_limit(step.signature.encode_result(value), "the result of step", step.name)


def _sealed(error: BaseException) -> bytes:
    return encode_failure(describe(error))


_NO_ATTEMPT = AttemptRecord()


class _Queued:
    """Stands in ``Resident.running`` for an attempt that waits for a free slot or a resolver."""

    def cancel(self) -> None:
        """Nothing runs yet; whoever takes it up finds it gone."""


_QUEUED: Any = _Queued()
