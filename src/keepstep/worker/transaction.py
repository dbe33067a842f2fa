"""Transactional steps: an attempt whose function's changes are committed together with the event that records it.

There are two ways, as the store has it:

* The store performs it, as the *deed* of the commit (``keepstep.journal.deed``), while everybody else who writes waits.
* The store gives out a *transaction* on a connection of its own. The function has its time; when it has returned, the
  commit is made in that transaction.

Either way the commit travels alone: which seq the run's next events get is known only when it has succeeded or failed,
and commits of the same run that are made meanwhile wait in the ``Resident``.

An attempt that fails has been undone and has recorded nothing; what follows from it is recorded as for any other step.
It never is uncertain: nothing of it can have happened. One whose connection broke is no attempt, and is begun anew.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from keepstep.journal import Deed, DeedFailed, InvalidInput, NewEvent, Promise, StoreUnavailable, Transaction
from keepstep.runtime import history
from keepstep.runtime.errors import Exited, TimedOut
from keepstep.runtime.history import pack

from .attempt import Attempt, AttemptRecord, enter_step

if TYPE_CHECKING:
    from keepstep.runtime.step import Step

    from .steps import Steps
    from .worker import Worker

logger = logging.getLogger("keepstep.worker")

SECONDS_MAX = 1.0
"""How long the function may keep a database to itself that has one writer."""

RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX = 0.05, 5.0
"""Between two tries to get a connection that does not break."""


class Withdrawn(Exception):
    """Nobody wants the step's result any more; raised instead of calling its function."""


class Transactions:
    """See the module's docstring."""

    def __init__(self, worker: Worker, steps: Steps) -> None:
        self._worker = worker
        self._steps = steps

    async def execute(self, attempt: Attempt) -> None:
        """Execute an attempt; the work of ``Steps``."""
        resident = attempt.resident
        record = self._steps.record_of(resident, attempt.operation)
        attempt.number = record.attempts + 1
        trial = _Trial(attempt, record, self._worker.journal.clock.now(), self._worker.loop.create_future())
        work = self._submit(trial) if self._worker.journal.performs_deeds else self._attend(trial)
        await (self._worker.probe.on_thread(resident, work) if resident.is_probed else work)

    # performed by the store

    async def _submit(self, trial: _Trial) -> None:
        step, operation = trial.attempt.operation.step, trial.attempt.operation
        try:
            if step.is_async:
                raise InvalidInput(
                    f"step {step.name!r} is async: on SQLite a transaction=True step is a plain def, "
                    "because everybody who writes waits for it"
                )
            args, kwargs = step.signature.decode_args(operation.arguments)
            enter_step(trial.attempt)
            perform = partial(self._perform, trial)
            await self._steps.around(step, operation.headers, perform)(*args, **kwargs)
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._raised(trial, error)
        else:
            if not trial.is_handed_in:
                self._failed(trial, InvalidInput(f"an interceptor has not called the transactional step {step.name!r}"))

    def _raised(self, trial: _Trial, error: BaseException) -> None:
        """Something was raised by the step, whose failure is seen to already, or by what stands around it."""
        name, is_cancelled = trial.attempt.operation.step.name, isinstance(error, asyncio.CancelledError)
        if error is trial.error:
            return
        if trial.is_handed_in and not is_cancelled:
            logger.warning("step %s: what stands around it raised %r, after its transaction", name, error)
        elif is_cancelled and (trial.is_handed_in or trial.attempt.is_cancelled or self._worker.steps.is_stopping):
            if not trial.is_handed_in:
                self._ended(trial)
            raise error
        else:
            self._failed(trial, TimedOut(f"step {name!r} was cancelled by its own code") if is_cancelled else error)

    async def _perform(self, trial: _Trial, *args: Any, **kwargs: Any) -> Any:
        """Have the store call the function; its result when that is committed."""
        if trial.is_handed_in:
            raise InvalidInput("an attempt of a transactional step is one transaction; an interceptor calls it once")
        trial.is_handed_in = True
        operation = trial.attempt.operation
        deed = self._deed(trial, args, kwargs)
        trial.attempt.resident.complete_by_deed(operation, deed, partial(self._settled, trial))
        await asyncio.wait((trial.over,))  # a cancelled waiter leaves it alone
        if trial.error is not None:
            raise trial.error
        return trial.value

    def _deed(self, trial: _Trial, args: Sequence[Any], kwargs: dict[str, Any]) -> Deed:
        attempt, step = trial.attempt, trial.attempt.operation.step
        context = contextvars.copy_context()

        def do(connection: Any) -> tuple[NewEvent]:
            if attempt.is_cancelled:
                raise Withdrawn
            call = partial(step.fn, connection, *args, **kwargs)
            trial.value = value = context.copy().run(_without_exit, step.name, call)
            return (trial.event(self._steps.sealed(step, value), trial.began),)

        left = self._steps.seconds_left(step, trial.record)
        return Deed(do=do, seconds_max=SECONDS_MAX if left is None else min(left, SECONDS_MAX))

    # in a transaction of its own

    async def _attend(self, trial: _Trial) -> None:
        """Call the function within a transaction. One that breaks is followed by another, which is no new attempt."""
        pause = RETRY_SECONDS_FIRST
        while trial.attempt.is_current() and not trial.over.done():
            try:
                async with self._worker.journal.transaction(
                    is_async=trial.attempt.operation.step.is_async
                ) as transaction:
                    await self._call_within(transaction, trial)
            except asyncio.CancelledError:
                if trial.attempt.is_cancelled or self._worker.steps.is_stopping:
                    self._ended(trial)
                    raise
                self._failed(
                    trial, TimedOut(f"step {trial.attempt.operation.step.name!r} was cancelled by its own code")
                )
            except StoreUnavailable as error:
                if not trial.over.done():
                    logger.warning("a transaction for a step could not be had (%s); trying again", error)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, RETRY_SECONDS_MAX)
            except (GeneratorExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._failed(trial, error)
        self._ended(trial)

    async def _call_within(self, transaction: Transaction, trial: _Trial) -> None:
        attempt, step = trial.attempt, trial.attempt.operation.step
        args, kwargs = step.signature.decode_args(attempt.operation.arguments)
        enter_step(attempt)
        function = self._steps.around(step, attempt.operation.headers, partial(self._invoke, step, transaction))
        call = function(*args, **kwargs)
        value = await self._steps.within_limits(step, call, trial.record, attempt.heart)
        event = trial.event(self._steps.sealed(step, value), self._worker.journal.clock.now())
        if not attempt.is_current():
            return
        attempt.resident.complete_within(transaction, attempt.operation, event, partial(self._settled, trial))
        while not trial.over.done():  # nobody interrupts a commit
            try:
                await asyncio.wait((trial.over,))
            except asyncio.CancelledError:
                continue

    def _invoke(self, step: Step[Any, Any], transaction: Transaction, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        return self._steps.invoke(step.fn, (transaction.connection, *args), kwargs)

    # what came of it

    def _settled(self, trial: _Trial, done: Promise) -> None:
        """The outcome of the commit is known; called before the run hears of it."""
        error = done.exception()
        if isinstance(error, DeedFailed):
            self._failed(trial, error.__cause__ or error)
        else:
            trial.error = error
            self._ended(trial)

    def _ended(self, trial: _Trial) -> None:
        if trial.over.done():
            return
        trial.over.set_result(None)
        self._steps.freed()
        if trial.attempt.is_current():
            del trial.attempt.resident.running[trial.attempt.operation.key]

    def _failed(self, trial: _Trial, error: BaseException) -> None:
        attempt, resident, operation = trial.attempt, trial.attempt.resident, trial.attempt.operation
        is_wanted = attempt.is_current() and not attempt.is_cancelled and not trial.over.done()
        trial.error = error
        self._ended(trial)
        if is_wanted:
            attempt.failure = error
            self._steps.failed(resident, operation, trial.record, trial.began, error)
        if resident.parking.is_under_way:
            resident.attempt_ended(operation.key)


class _Trial:
    """One attempt in a transaction."""

    def __init__(self, attempt: Attempt, record: AttemptRecord, began: int, over: asyncio.Future[None]) -> None:
        self.attempt = attempt
        self.record = record
        self.began = began
        self.over = over
        """Done when it is known what came of it."""
        self.is_handed_in = False
        """The store has been asked to perform it."""
        self.value: Any = None
        self.error: BaseException | None = None

    def event(self, payload: bytes, now: int) -> NewEvent:
        """What records its result. ``now``: when its commit is handed in; what is made from then on comes after it."""
        operation = self.attempt.operation
        data = pack(history.StepCompleted(operation.digest, payload, self.attempt.number, "", operation.asked_seq))
        return NewEvent(history.STEP_COMPLETED, now, operation.key, data)


def _without_exit(name: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except SystemExit as error:
        raise Exited(f"{name}() asked the process to exit with {error.code!r}; raise an error instead") from error
