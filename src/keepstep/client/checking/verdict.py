"""Verdict: what a run's history says about the code that is to go on with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from keepstep.archive.recording import Heading
from keepstep.journal import Condition, Loaded, Run, Status
from keepstep.runtime.blocked import Asked, Contradiction, Diff, site_of
from keepstep.runtime.execution import Execution
from keepstep.runtime.interceptor import NO_INTERCEPTORS, Interceptors
from keepstep.runtime.operation import Operation
from keepstep.runtime.workflow import Workflow
from keepstep.worker.identity import identity_of
from keepstep.worker.misfit import diff_of
from keepstep.worker.replay import TurnLimit, replay

ENDED_BY_CODE = (Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT)
"""Closed runs whose code has come to its end, and must come to it again."""

ASKED_SHOWN_MAX = 10


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A run that the code would not go on with."""

    id: str
    run_id: str
    type: str
    status: Status
    diff: Diff


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one run, or of many."""

    runs: int = 0
    events: int = 0
    troubles: tuple[Trouble, ...] = ()
    freed: tuple[str, ...] = ()
    """Ids of runs that are blocked today, and that this code would go on with."""
    left: int = 0
    """Runs that stay with a version which this code has not, and living workers have; of an archive, all those of
    workflows and versions that this code has not."""
    unread: tuple[str, ...] = ()
    """What could not be read of an archive, in words."""

    def with_more(self, other: Verdict) -> Verdict:
        return Verdict(
            runs=self.runs + other.runs,
            events=self.events + other.events,
            troubles=self.troubles + other.troubles,
            freed=self.freed + other.freed,
            left=self.left + other.left,
            unread=self.unread + other.unread,
        )


def verdict_on(
    loaded: Loaded, workflow: Workflow[Any, Any], limit: TurnLimit, interceptors: Interceptors = NO_INTERCEPTORS
) -> Verdict:
    """Replay a run as a worker that claims it would."""
    run = loaded.run
    execution = Execution(workflow, identity_of(run), interceptors)
    try:
        misfit = replay(execution, loaded, limit)
        diff = None if misfit is None else _diff_of(misfit, execution)
        if diff is None and run.status is not Status.RUNNING:
            diff = _end_missed(execution, run)
    finally:
        execution.detach()
    if diff is not None:
        return Verdict(runs=1, events=run.last_seq, troubles=(trouble(run, diff),))
    freed = (run.workflow_id,) if run.condition is Condition.BLOCKED else ()
    return Verdict(runs=1, events=run.last_seq, freed=freed)


def trouble(run: Run | Heading, diff: Diff) -> Trouble:
    return Trouble(id=run.workflow_id, run_id=run.run_id, type=run.type, status=run.status, diff=diff)


def _diff_of(misfit: BaseException, execution: Execution) -> Diff:
    """The diff of a run that the code contradicts."""
    diff = diff_of(misfit)
    return diff if isinstance(misfit, Contradiction) else msgspec.structs.replace(diff, seq=execution.seen_seq)


def _end_missed(execution: Execution, run: Run) -> Diff | None:
    """The diff of a closed run to whose end the code does not come."""
    if run.status not in ENDED_BY_CODE:
        return None
    outcome = execution.outcome
    if outcome is None:
        summary = f"The code goes on where the run had {_WORDS[run.status]}."
        return Diff(summary, run.last_seq, f"the run's end ({run.status})", _asked(execution.pending.values()))
    if outcome.status is not run.status:
        because = f": {outcome.error!r}" if outcome.error is not None else ""
        summary = f"The code comes to another end than the run had: {outcome.status}{because}."
        return Diff(summary, run.last_seq, f"the run's end ({run.status})")
    return None


_WORDS = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "been cancelled",
    Status.TIMED_OUT: "timed out",
}


def _asked(pending: Iterable[Operation]) -> tuple[Asked, ...]:
    asked: Sequence[Operation] = list(pending)[:ASKED_SHOWN_MAX]
    return tuple(Asked(each.key, each.name, site_of(each.task)) for each in asked)
