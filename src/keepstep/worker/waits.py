"""What a resident waits for, put into words for ``Run.detail``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from keepstep.journal import Condition
from keepstep.runtime.data import decode_failure
from keepstep.runtime.operation import CallbackOperation, ChildOperation, Operation, StepOperation, TimerOperation

from .words import Detail, Wait

if TYPE_CHECKING:
    from .resident import Resident

WAITS_SHOWN_MAX = 20


def condition_of(resident: Resident) -> Condition:
    """The condition that a person should see first."""
    if any(each.is_parked and each.once_begun for each in resident.attempts.values()):
        return Condition.UNCERTAIN
    if resident.execution.compensating:
        return Condition.COMPENSATING
    return Condition.NONE if resident.running else Condition.WAITING


def detail_of(resident: Resident) -> Detail:
    """Everything the run waits for, up to ``WAITS_SHOWN_MAX`` things; what needs a person comes first."""
    execution = resident.execution
    parked = {key for key, record in resident.attempts.items() if record.is_parked}
    pending = sorted(execution.pending.values(), key=lambda each: each.key not in parked)
    waits = [_wait(resident, each) for each in pending[:WAITS_SHOWN_MAX]]
    for name, futures in execution.receivers.items():
        open_since = [each.asked_at for each in futures if not each.done()]
        if open_since:
            waits.append(Wait(kind="signal", name=name, since=min(open_since)))
    open_since = [future.asked_at for _, future in execution.waits if not future.done()]
    if open_since:
        waits.append(Wait(kind="condition", since=min(open_since)))
    if execution.has_returned:
        waits += [
            Wait(kind="handler", name=each.name, since=each.since) for each in execution.handling.at_work.values()
        ]
    because = execution.undo_reason if execution.compensating else ""
    unseen = max(len(execution.pending) - WAITS_SHOWN_MAX, 0) + max(len(waits) - WAITS_SHOWN_MAX, 0)
    return Detail(waits=tuple(waits[:WAITS_SHOWN_MAX]), more=unseen, because=because)


def _wait(resident: Resident, operation: Operation) -> Wait:
    since = operation.asked_at
    if isinstance(operation, TimerOperation):
        return Wait(kind="timer", key=operation.key, since=since, until=operation.fire_at or 0)
    if isinstance(operation, StepOperation):
        return _step_wait(resident, operation)
    if isinstance(operation, ChildOperation):
        return Wait(
            kind="child", name=operation.workflow.name, key=operation.key, run_id=operation.run_id or "", since=since
        )
    if isinstance(operation, CallbackOperation) and operation.person is not None:
        title = str(msgspec.json.decode(operation.person).get("title", ""))
        return Wait(kind="human_task", name=title, key=operation.key, token=operation.token, since=since)
    token = operation.token if isinstance(operation, CallbackOperation) else ""
    return Wait(kind=operation.kind, name=operation.name, key=operation.key, token=token, since=since)


def _step_wait(resident: Resident, operation: StepOperation) -> Wait:
    record = resident.attempts.get(operation.key)
    step = operation.step
    wait = Wait(
        kind="step", name=step.name, key=operation.key, since=operation.asked_at, attempt=1,
        queue=step.run_options.queue or "",
    )  # fmt: skip
    if record is None:
        return wait
    parked = ""
    if record.is_parked:
        parked = "uncertain" if record.once_begun else "undo_exhausted"
    return msgspec.structs.replace(
        wait,
        attempt=record.attempts if parked else record.attempts + 1,
        since=record.first_at or wait.since,
        until=record.next_at,
        error=decode_failure(record.failure).summary() if record.failure else "",
        parked=parked,
        once=record.once_begun,
    )
