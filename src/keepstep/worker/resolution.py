"""Resolution: finds out what became of a ``once`` step that was begun and never recorded.

Its resolver is asked. Where there is none, or it does not know, the step is left to a person as *uncertain*. A resolver
that raises an error knows nothing: it is asked again by the step's own retry policy, and then a person is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import InvalidInput
from keepstep.runtime.errors import Uncertain
from keepstep.runtime.operation import StepOperation
from keepstep.runtime.saga import Outcome

from .attempt import MAY_HAVE_HAPPENED, Attempt, AttemptRecord, enter_step, sealed_error

if TYPE_CHECKING:
    from .resident import Resident
    from .worker import Worker

logger = logging.getLogger("keepstep.worker")

Invoke = Callable[[Callable[..., Any], Sequence[Any], dict[str, Any]], Coroutine[Any, Any, Any]]


class Resolution:
    """See the module's docstring. ``invoke`` calls a user's function, on a thread if it is not async."""

    def __init__(self, worker: Worker, invoke: Invoke) -> None:
        self._worker = worker
        self._invoke = invoke

    def begin(self, resident: Resident, operation: StepOperation, record: AttemptRecord) -> None:
        """Find out, in the background; the run is busy meanwhile."""
        resident.running[operation.key] = attempt = Attempt(resident, operation)
        self._worker.spawn(self._settle(attempt, record))

    async def _settle(self, attempt: Attempt, record: AttemptRecord) -> None:
        resident, operation = attempt.resident, attempt.operation
        if attempt.is_cancelled:
            return
        attempt.task = asyncio.current_task()
        try:
            said = await self._ask(attempt)
            if said is None:
                error = Uncertain(f"step {operation.step.name!r} was begun and its result was never recorded")
                _park(attempt, msgspec.structs.replace(record, failure=record.failure or sealed_error(error)))
            elif isinstance(said, BaseException):
                fail_once(attempt, said, "resolver")
            else:
                resident.complete_step(operation, said, 1, "resolver")
        finally:
            if attempt.is_current():
                resident.attempt_ended(operation.key)

    async def _ask(self, attempt: Attempt) -> bytes | BaseException | None:
        """The sealed result, or the error, that the resolver knows of; None if there is nobody who knows."""
        step = attempt.operation.step
        resolver, retry = step.run_options.resolver, step.run_options.retry
        asked = 0
        while resolver is not None:
            asked += 1
            try:
                return await self._ask_once(attempt, resolver)
            except Uncertain:
                break
            except Exception as error:
                logger.warning("the resolver of step %r failed: %r", step.name, error)
                if not retry.is_retryable(error) or isinstance(error, InvalidInput) or not retry.allows(asked):
                    break
            await asyncio.sleep(retry.delay_seconds(asked, self._worker.random))
        return None

    async def _ask_once(self, attempt: Attempt, resolver: Callable[..., Any]) -> bytes | BaseException:
        """What one call of the resolver says. Raises ``Uncertain`` if it does not know."""
        operation = attempt.operation
        enter_step(attempt)
        args, kwargs = operation.step.signature.decode_args(operation.arguments)
        said = await self._invoke(resolver, args, kwargs)
        if asyncio.iscoroutine(said):
            said = await said
        if isinstance(said, Outcome):
            if said.uncertain:
                raise Uncertain(said.error)
            if said.failed:
                return Uncertain(said.error or "the resolver says that it did not happen")
            said = said.result
        return self._worker.steps.sealed(operation.step, said)


def fail_once(attempt: Attempt, error: BaseException, resolved_by: str = "") -> None:
    """A ``once`` step has failed, and is not repeated by itself. An undo must be done, and waits for a person."""
    if attempt.operation.is_undo:
        _park(attempt, AttemptRecord(failure=sealed_error(error)))
    else:
        uncertain = isinstance(error, MAY_HAVE_HAPPENED)
        attempt.resident.fail_step(attempt.operation, sealed_error(error), 1, uncertain, resolved_by)


def _park(attempt: Attempt, record: AttemptRecord) -> None:
    """Leave a step to a person."""
    if not attempt.resident.is_dropped and not attempt.operation.abandoned:
        parked = msgspec.structs.replace(record, attempts=1, is_uncertain=record.once_begun, is_parked=True)
        attempt.resident.remember_attempt(attempt.operation.key, parked)
