"""Ending: how the end of a workflow function becomes the last commit of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import Commit, Condition, InvalidInput, NewEvent, NewMessage, NewRun, StateChange, Status
from keepstep.runtime import history
from keepstep.runtime.data import describe, encode_failure, within_limit
from keepstep.runtime.heard import SIGNAL
from keepstep.runtime.history import pack

from .kinship import last_words
from .reply import UPDATE, UpdateRequest, encode_request

if TYPE_CHECKING:
    from keepstep.runtime.execution import Execution

    from .resident import Resident

Ending = tuple[Status, NewEvent, bytes]
"""The run's status, its last event, and what a parent is told."""


def closing_commit(resident: Resident, outcomes: list[NewEvent]) -> Commit:
    """What closes a run whose code has ended, unless a message has come that nobody has seen.

    ``outcomes`` are those of updates that ended together with it.
    """
    start: tuple[NewRun, ...] = ()
    ended = resident.execution.outcome
    if resident.terminated_because is None and ended is not None and ended.status is Status.CONTINUED:
        start = (_continuation(resident, ended.value),)
        data = pack(history.WorkflowContinued(start[0].run_id))
        status, event, told = Status.CONTINUED, resident.event(history.WORKFLOW_CONTINUED, None, data), b""
    else:
        status, event, told = ending_of(resident)
    send = last_words(resident, status)
    if resident.parent is not None and not start:
        data = pack(history.ChildClosed(status, told))
        send.append(NewMessage(run_id=resident.parent.run_id, kind="child_closed", name=resident.parent.key, data=data))
    return Commit(
        run_id=resident.run_id,
        epoch=resident.epoch,
        first_seq=resident.last_seq + 1,
        inbox_seen=resident.inbox_seen,
        consume=tuple(resident.terminated_by),
        events=(*outcomes, event),
        state=tuple(StateChange(kind, key, None) for kind, key in sorted(resident.all_state_keys())),
        send=tuple(send),
        start=start,
        status=status,
        **_last_changes(resident),
    )


def _last_changes(resident: Resident) -> dict[str, Any]:
    """What the code has set and nobody has told yet, and the end of any condition."""
    execution = resident.execution
    changes: dict[str, Any] = {}
    if execution.status_text is not None:
        changes["status_text"] = execution.status_text
    if execution.attributes:
        changes["attributes"] = execution.attributes
    if resident.is_shown or resident.is_compensation_announced:
        changes |= {"condition": Condition.NONE, "detail": b""}
    return changes


def _continuation(resident: Resident, arguments: bytes) -> NewRun:
    """The run that goes on. Signals that nobody has received go with it, and updates that came at the last moment."""
    execution, identity = resident.execution, resident.execution.identity
    attributes = {**resident.attributes, **execution.attributes}
    new = resident.worker.new_run(
        execution.workflow,
        arguments,
        run_id=resident.worker.ids(),
        workflow_id=identity.workflow_id,
        namespace=identity.namespace,
        queue=identity.queue,
        parent=resident.parent,
        continued_from=resident.run_id,
        own_timeout_seconds=execution.own_timeout_seconds,
        attributes={name: value for name, value in attributes.items() if value is not None},
        messages=(*_unread(execution), *_going_over(execution)),
        heard=_heard(execution),
        headers=execution.headers,
    )
    return msgspec.structs.replace(new, input_digest=resident.input_digest)  # starting the id again attaches to it


def _unread(execution: Execution) -> list[NewMessage]:
    return [
        NewMessage(kind="signal", name=each.name, data=each.payload, id=each.message_id or None)
        for each in execution.unread_signals()
    ]


def _heard(execution: Execution) -> tuple[history.HeardBefore, ...]:
    """What has happened already, should it be said to the new run once more."""
    signals = [(SIGNAL, each.message_id) for each in execution.unread_signals()]
    updates = [(UPDATE, each.id) for each in execution.handling.going_over]
    return execution.heard.passed_on(execution.identity.run_id, (*signals, *updates))


def _going_over(execution: Execution) -> list[NewMessage]:
    return [
        NewMessage(kind=UPDATE, name=each.name, data=encode_request(UpdateRequest(each.id, each.payload, True)))
        for each in execution.handling.going_over
    ]


def ending_of(resident: Resident) -> Ending:
    """The end of a run whose code has ended. A result that cannot be recorded is a failure."""
    if resident.terminated_because is not None:
        data = pack(history.WorkflowTerminated(resident.terminated_because))
        return Status.TERMINATED, resident.event(history.WORKFLOW_TERMINATED, None, data), b""
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
    bytes_max = resident.worker.journal.value_bytes_max
    payload = within_limit(workflow.signature.encode_result(value), "the result of", workflow.name, bytes_max)
    data = pack(history.WorkflowCompleted(payload))
    return Status.COMPLETED, resident.event(history.WORKFLOW_COMPLETED, None, data), payload


def _failure(resident: Resident, error: BaseException) -> Ending:
    execution = resident.execution
    failure = encode_failure(describe(error))
    before, reactions = execution.failed_before()
    first, others = (before[0], before[1:]) if before else (0, ())
    failed = history.WorkflowFailed(failure, first, execution.compensated, reactions, others, execution.seen_seq)
    return Status.FAILED, resident.event(history.WORKFLOW_FAILED, None, pack(failed)), failure
