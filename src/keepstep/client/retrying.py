"""Retrying: a failed run goes on at its failed step, and a parked one tries again."""

from __future__ import annotations

from typing import Any

from keepstep.journal import Commit, Condition, Event, InvalidInput, Journal, NewEvent, NewMessage, Run, Status
from keepstep.runtime import history
from keepstep.runtime.history import pack

from .closing import last_event
from .info import run_info

RETRY = "retry"


async def retry(journal: Journal, run: Run, message_id: str | None = None) -> bool:
    """See ``RunHandle.retry``. False if a parked run was told so before, by a message of that id."""
    if run.status is Status.RUNNING:
        return await _retry_parked(journal, run, message_id)
    if run.status is not Status.FAILED:
        raise InvalidInput(f"run {run.workflow_id!r} is {run.status}; only failed and parked runs can be retried")
    await _reopen(journal, run)
    return True


async def _retry_parked(journal: Journal, run: Run, message_id: str | None) -> bool:
    if run.condition is Condition.QUARANTINED:
        await journal.commit(
            Commit(
                run_id=run.run_id,
                version=run.version,
                condition=Condition.NONE,
                detail=b"",
                clear_strikes=True,
                wake_at=0,
                audit="retry: out of quarantine",
            )
        )
        return True
    if not has_exhausted_undo(run) and run.condition is not Condition.COMPENSATING:
        raise InvalidInput(f"run {run.workflow_id!r} is running and has nothing to retry")
    sent = await journal.send(NewMessage(run_id=run.run_id, kind=RETRY, id=message_id))
    return not sent.duplicate


def has_exhausted_undo(run: Run) -> bool:
    """Whether an undo of the run has used up its attempts, as far as its row says."""
    return any(each.parked == "undo_exhausted" for each in run_info(run, None).waiting_for)


async def failure_of(journal: Journal, run: Run) -> tuple[Event, Any]:
    """How a failed run has ended. Raises ``InvalidInput`` where it cannot go on from there."""
    closing = await last_event(journal, run)
    failed = history.unpack(closing.type, closing.data)
    if failed.compensated:
        raise InvalidInput(
            f"run {run.workflow_id!r} has compensated what it had done, so it cannot go on at the failed step; "
            'start it anew with if_closed="restart"'
        )
    return closing, failed


async def _reopen(journal: Journal, run: Run) -> None:
    closing, failed = await failure_of(journal, run)
    steps = {failed.failed_seq, *failed.also_failed} - {0}
    late = await journal.read_events(run.run_id, failed.seen_seq) if steps and failed.seen_seq else ()
    steps.update(each.seq for each in late if each.type == history.STEP_FAILED)
    superseded = (*sorted(steps), closing.seq)
    data = pack(history.WorkflowReopened(superseded, loose=failed.reactions))
    event = NewEvent(history.WORKFLOW_REOPENED, journal.clock.now(), None, data)
    await journal.commit(
        Commit(
            run_id=run.run_id,
            version=run.version,
            status=Status.RUNNING,
            events=(event,),
            wake_at=0,
            audit="retry: reopened at the failed step",
        )
    )
