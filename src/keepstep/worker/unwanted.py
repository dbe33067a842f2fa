"""Unwanted: what becomes of an operation when the code of its run has given it up.

Most are let go of at once: the code does not wait for them any more, and what is still said of them is ignored. A step
with ``on_cancel="wait"`` is told to end, and stays what the code waits for until history has its end: its result, its
error, or ``Cancelled``. Who takes the run over after a crash finds nobody executing it, and records that at once. One
on a queue may be executed by anybody, who finds a mark (``telling``) and answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepstep.journal import StateChange, TaskRef
from keepstep.runtime.errors import Cancelled
from keepstep.runtime.operation import ChildOperation, Operation, StepOperation

from .attempt import AttemptRecord, sealed_error
from .kinship import stop_waiting_for
from .remote import state_of_remote
from .telling import TOLD

if TYPE_CHECKING:
    from .resident import Resident


def let_go(resident: Resident, operation: Operation) -> None:
    """The code stopped wanting an operation: stop working for it."""
    resident.not_due(operation.key)
    attempt = resident.running.pop(operation.key, None)
    if attempt is not None:
        attempt.cancel()
    if isinstance(operation, ChildOperation) and operation.run_id is not None:
        resident.append(send=[stop_waiting_for(resident, operation)])
    gone = resident.forget_state(operation.key)
    if isinstance(operation, StepOperation) and operation.step.run_options.queue is not None:
        gone += state_of_remote(operation.key)
        resident.append(state=gone, drop_tasks=(TaskRef("step", operation.key),))
    elif gone:
        resident.append(state=gone)


def have_it_end(resident: Resident, operation: StepOperation) -> None:
    """Tell a step to end. One that is not being executed has ended: it is not begun any more."""
    key = operation.key
    if operation.step.run_options.queue is not None:
        if (TOLD, key) not in resident.state_keys:
            resident.state_keys.add((TOLD, key))
            resident.append(state=[StateChange(TOLD, key, b"1")])
        return
    attempt = resident.running.get(key)
    if attempt is not None and attempt.task is not None:
        attempt.tell_to_end()
        return
    if attempt is not None:
        attempt.cancel()
        del resident.running[key]
    resident.not_due(key)
    record = resident.attempts.get(key, AttemptRecord())
    was_cut_off = resident.is_beginning and record.next_at <= resident.worker.journal.clock.now()
    error = Cancelled(f"step {operation.step.name!r} was told to end when nobody was executing it")
    resident.fail_step(operation, sealed_error(error), record.attempts, record.is_uncertain or was_cut_off)
