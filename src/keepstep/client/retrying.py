"""Retrying: a failed run goes on at what failed it, and a parked one tries again."""

from __future__ import annotations

from keepstep.journal import Commit, Condition, InvalidInput, Journal, NewMessage, Run, Status
from keepstep.worker.revival import reopen

from .info import run_info

RETRY = "retry"


async def retry(journal: Journal, run: Run, message_id: str | None = None) -> bool:
    """See ``RunHandle.retry``. False if a parked run was told so before, by a message of that id."""
    if run.status is Status.RUNNING:
        return await _retry_parked(journal, run, message_id)
    if run.status is not Status.FAILED:
        raise InvalidInput(f"run {run.workflow_id!r} is {run.status}; only failed and parked runs can be retried")
    await reopen(journal, run)
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
