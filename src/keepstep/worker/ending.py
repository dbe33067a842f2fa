"""Ending: how the end of a workflow function becomes the last event of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepstep.journal import InvalidInput, NewEvent, Status
from keepstep.runtime import history
from keepstep.runtime.data import describe, encode_failure, within_limit
from keepstep.runtime.history import pack

if TYPE_CHECKING:
    from .resident import Resident

Ending = tuple[Status, NewEvent, bytes]
"""The run's status, its last event, and what a parent is told."""


def ending_of(resident: Resident) -> Ending:
    """The end of a run whose code has ended. A result that cannot be recorded is a failure."""
    outcome = resident.execution.outcome
    assert outcome is not None
    if outcome.error is not None:
        return _failure(resident, outcome.error)
    if outcome.status is Status.COMPLETED:
        try:
            return _completion(resident, outcome.value)
        except InvalidInput as unfit:
            return _failure(resident, unfit)
    if outcome.status is Status.TIMED_OUT:
        data = pack(history.WorkflowTimedOut())
        return Status.TIMED_OUT, resident.event(history.WORKFLOW_TIMED_OUT, None, data), b""
    data = pack(history.WorkflowCancelled(resident.execution.cancel_reason or ""))
    return Status.CANCELLED, resident.event(history.WORKFLOW_CANCELLED, None, data), b""


def _completion(resident: Resident, value: object) -> Ending:
    workflow = resident.execution.workflow
    payload = within_limit(workflow.signature.encode_result(value), "the result of", workflow.name)
    data = pack(history.WorkflowCompleted(payload))
    return Status.COMPLETED, resident.event(history.WORKFLOW_COMPLETED, None, data), payload


def _failure(resident: Resident, error: BaseException) -> Ending:
    execution = resident.execution
    failure = encode_failure(describe(error))
    steps, reactions = execution.failed_steps()
    first, others = (steps[0], steps[1:]) if steps else (0, ())
    failed = history.WorkflowFailed(failure, first, execution.compensated, reactions, others, execution.seen_seq)
    return Status.FAILED, resident.event(history.WORKFLOW_FAILED, None, pack(failed)), failure
