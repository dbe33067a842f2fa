"""Transactional steps: an attempt whose function is called within the transaction that records its result.

The store performs it, as the *deed* of the commit (``keepstep.journal.deed``). Which seq the run's next events get is
known only when that has succeeded or failed; commits of the same run that are made meanwhile wait in the ``Resident``.

An attempt that fails has been undone and has recorded nothing; what follows from it is recorded as for any other step.
It never is uncertain: nothing of it can have happened.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from keepstep.journal import Deed, DeedFailed, InvalidInput, NewEvent, Promise
from keepstep.runtime import history
from keepstep.runtime.errors import Exited
from keepstep.runtime.history import pack

from .attempt import Attempt, AttemptRecord, enter_step, sealed_result

if TYPE_CHECKING:
    from .steps import Steps
    from .worker import Worker

SECONDS_MAX = 1.0
"""How long the function may keep a database to itself that has one writer."""


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
        if resident.is_probed:
            await self._worker.probe.on_thread(resident, self._submit(attempt))
        else:
            await self._submit(attempt)

    async def _submit(self, attempt: Attempt) -> None:
        resident, operation = attempt.resident, attempt.operation
        record = self._steps.record_of(resident, operation)
        attempt.number = record.attempts + 1
        began = self._worker.journal.clock.now()
        over: asyncio.Future[None] = self._worker.loop.create_future()
        try:
            deed = self._deed(attempt, record, began)
        except Exception as error:
            self._failed(attempt, record, began, error)
        else:
            resident.complete_by_deed(operation, deed, partial(self._settled, attempt, record, began, over))
            await over

    def _deed(self, attempt: Attempt, record: AttemptRecord, now: int) -> Deed:
        """The attempt as a deed. Its event has the time of now: what is recorded after it may have been made before."""
        step, operation = attempt.operation.step, attempt.operation
        if step.is_async:
            raise InvalidInput(
                f"step {step.name!r} is async: on SQLite a transaction=True step is a plain def, "
                "because everybody who writes waits for it"
            )
        args, kwargs = step.signature.decode_args(operation.arguments)
        enter_step(attempt)
        context = contextvars.copy_context()

        def do(connection: Any) -> tuple[NewEvent]:
            if attempt.is_cancelled:
                raise Withdrawn
            call = partial(step.fn, connection, *args, **kwargs)
            payload = sealed_result(step, context.copy().run(_without_exit, step.name, call))
            data = pack(history.StepCompleted(operation.digest, payload, attempt.number, ""))
            return (NewEvent(history.STEP_COMPLETED, now, operation.key, data),)

        left = self._steps.seconds_left(step, record)
        return Deed(do=do, seconds_max=SECONDS_MAX if left is None else min(left, SECONDS_MAX))

    def _settled(
        self, attempt: Attempt, record: AttemptRecord, began: int, over: asyncio.Future[None], done: Promise
    ) -> None:
        """The outcome is known; called before the run hears of it."""
        if not over.done():
            over.set_result(None)
        error = done.exception()
        if isinstance(error, DeedFailed):
            self._failed(attempt, record, began, error.__cause__ or error)
            return
        self._steps.freed()
        if attempt.is_current():
            del attempt.resident.running[attempt.operation.key]

    def _failed(self, attempt: Attempt, record: AttemptRecord, began: int, error: BaseException) -> None:
        resident, operation = attempt.resident, attempt.operation
        self._steps.freed()
        if not attempt.is_current():
            return
        del resident.running[operation.key]
        if not attempt.is_cancelled:
            self._steps.failed(resident, operation, record, began, error)
        if resident.is_parking:
            resident.attempt_ended(operation.key)


def _without_exit(name: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except SystemExit as error:
        raise Exited(f"{name}() asked the process to exit with {error.code!r}; raise an error instead") from error
