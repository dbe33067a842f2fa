"""Continued: where a run goes on that has continued as new, and whether that is meant.

Whoever speaks to open runs means an execution, not one of the runs as which it goes on. A run that continues while a
bulk is under way may be met neither as what it was, because that is closed, nor as what it has become, because that was
started later. So the runs that have continued since the bulk began are looked through behind the open ones; those are
meant of which the run that goes on fits the filter.
"""

from __future__ import annotations

from collections.abc import Sequence

from keepstep.journal import Journal, Run, RunClosed, Status, StoreUnavailable
from keepstep.journal.field import PARENT_ID, Field, Value
from keepstep.journal.search import Predicate, holds, values_in
from keepstep.runtime import history
from keepstep.worker.last_event import last_event


async def current(journal: Journal, run: Run) -> Run:
    """The run as it is now; where it has continued as new, the one that goes on. Raises ``RunClosed``."""
    found = await journal.read_run(run.run_id)
    while found is not None and found.status is Status.CONTINUED:
        found = await _following(journal, found)
    if found is None:
        raise RunClosed(f"run {run.workflow_id!r} is gone")
    return found


async def goes_on_as(journal: Journal, run: Run) -> Run | None:
    """The run as which a closed one goes on, if it has continued as new."""
    found = await journal.read_run(run.run_id)
    return None if found is None or found.status is not Status.CONTINUED else await _following(journal, found)


async def those_meant(journal: Journal, runs: Sequence[Run], where: Predicate) -> list[Run]:
    """Of runs that have continued, those that go on as an open run that fits."""
    return [run for run in runs if await _is_meant(journal, run, where)]


async def _is_meant(journal: Journal, run: Run, where: Predicate) -> bool:
    """Where that cannot be told, whoever speaks to the run hears why: it may be gone by now, or damaged."""
    try:
        goes_on = await current(journal, run)
        return goes_on.status is Status.RUNNING and await _fits(journal, goes_on, where)
    except StoreUnavailable:
        raise
    except Exception:
        return True


async def _fits(journal: Journal, run: Run, where: Predicate) -> bool:
    parent = None if run.parent_run_id is None else await journal.read_run(run.parent_run_id)

    def values(field: Field) -> Sequence[Value]:
        if field == PARENT_ID:
            return () if parent is None else (parent.workflow_id,)
        return values_in(run, field)

    return holds(where, values)


async def _following(journal: Journal, run: Run) -> Run | None:
    event = await last_event(journal, run)
    return await journal.read_run(history.unpack(event.type, event.data).run_id)
