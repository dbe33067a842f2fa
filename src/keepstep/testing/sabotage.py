"""Sabotage: switches the recording of one step off, to see whether somebody would notice.

An audit that has never failed proves little. With its recording switched off, a step still runs and the workflow still
sees its result, but history does not have it: after a crash the step runs again, and under a fresh idempotency key, so
that the other side takes it for a new request. That is what a system without a journal does.

The product has no switch for this. ``python -m keepstep.testing.sabotage STEP worker …`` is ``keepstep worker …`` with
the engine taken apart in its own process only.
"""

from __future__ import annotations

import asyncio
import sys
import uuid

from keepstep.journal import Event
from keepstep.runtime import history
from keepstep.runtime.history import pack
from keepstep.runtime.operation import StepOperation
from keepstep.worker.attempt import StepInfo
from keepstep.worker.resident import Resident


def stop_recording(step_name: str) -> None:
    """From now on, in this process, results of that step reach the workflow but not its history."""
    _deliver_without_recording(step_name)
    _forget_idempotency_keys(step_name)


def _deliver_without_recording(step_name: str) -> None:
    complete_step = Resident.complete_step

    def sabotaged(
        resident: Resident, operation: StepOperation, payload: bytes, attempts: int, resolved_by: str = ""
    ) -> None:
        if operation.step.name != step_name:
            complete_step(resident, operation, payload, attempts, resolved_by)
            return
        gone = resident.forget_state(operation.key)
        if gone:
            resident.append(state=gone)
        data = pack(history.StepCompleted(operation.digest, payload, attempts, resolved_by, operation.asked_seq))
        now = resident.worker.journal.clock.now()
        event = Event(resident.last_seq, history.STEP_COMPLETED, now, operation.key, data)
        asyncio.get_running_loop().call_soon(_deliver, resident, operation, event)

    Resident.complete_step = sabotaged  # type: ignore[method-assign, assignment]


def _deliver(resident: Resident, operation: StepOperation, event: Event) -> None:
    if not operation.abandoned and resident.execution.pending.get(operation.key) is operation:
        resident._guarded(resident.execution.deliver, event)


def _forget_idempotency_keys(step_name: str) -> None:
    """One key for all attempts in this process, and another one in the next process."""
    life = uuid.uuid4().hex
    true_key = StepInfo.idempotency_key

    def sabotaged(info: StepInfo) -> str:
        key = str(true_key.__get__(info))
        return f"{key}#{life}" if step_name in info.key else key

    StepInfo.idempotency_key = property(sabotaged)  # type: ignore[method-assign, assignment]


def main() -> None:
    """``STEP ARGUMENTS…``: sabotages the step, then does what ``keepstep ARGUMENTS…`` does."""
    from keepstep.cli import main as keepstep

    stop_recording(sys.argv[1])
    sys.argv = ["keepstep", *sys.argv[2:]]
    keepstep()


if __name__ == "__main__":
    main()
