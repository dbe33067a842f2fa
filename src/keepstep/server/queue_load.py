"""Queue load: queues as a page shows them: what is kept of each, what waits there, since when, and who serves it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from keepstep.client.info import moment, run_info
from keepstep.client.queues import QueueInfo, Queues
from keepstep.client.views import QUEUE as VIEWS
from keepstep.journal import Journal, NotFound, is_surely_dead
from keepstep.journal.backlog import Backlog
from keepstep.retention.guest import QUEUE as RETENTION
from keepstep.schedules.guest import QUEUE as SCHEDULES

OF_GUESTS = (SCHEDULES, RETENTION, VIEWS)
"""Queues of what is kept as runs, and is no workflow."""


class QueueLoad(QueueInfo, frozen=True, kw_only=True):
    """A queue. One of which nothing is kept has no limits, and nothing of it is counted as held."""

    is_kept: bool
    """Whether code has declared it, or an operator has said something of it."""
    due: int
    """Runs that a worker could go on with, and none does; 10,000 of each language are counted at most."""
    oldest_since: datetime | None
    """Since when the first of what waits has been waiting, as far as that is known."""
    oldest_run: str
    """The id of the run that it belongs to; empty where only due runs wait."""
    oldest_run_id: str
    workers: int
    """That are alive and serve it."""


async def read_loads(journal: Journal) -> list[QueueLoad]:
    """All queues of which something is kept, on which something waits, or that a worker serves, by name."""
    kept = {info.name: info for info in await Queues(journal).list()}
    waiting = {each.queue: each for each in await journal.list_backlogs()}
    serving = await count_serving(journal)
    names = sorted({*kept, *waiting, *serving} - set(OF_GUESTS))
    return [await _load(journal, name, kept.get(name), waiting.get(name), serving[name]) for name in names]


async def read_load(journal: Journal, name: str) -> QueueLoad:
    """One of them. Raises ``NotFound``."""
    for load in await read_loads(journal):
        if load.name == name:
            return load
    raise NotFound(f"nothing is known of a queue {name!r}: nobody has declared, limited or paused it, or serves it")


async def count_serving(journal: Journal) -> Counter[str]:
    """How many living workers serve each queue."""
    living = [state.lease for state in await journal.list_leases() if not is_surely_dead(state.lease.process)]
    return Counter(queue for lease in living for queue in lease.queues)


async def _load(
    journal: Journal, name: str, kept: QueueInfo | None, backlog: Backlog | None, workers: int
) -> QueueLoad:
    found = backlog or Backlog(queue=name)
    run, task_since = await _oldest_task(journal, found)
    info = kept or QueueInfo(
        name=name, is_paused=False, limits={}, declared={}, changed=(), waiting=found.tasks, held=0
    )
    times = [each for each in (task_since, found.due_since) if each]
    return QueueLoad(
        **{field: getattr(info, field) for field in QueueInfo.__struct_fields__},
        is_kept=kept is not None,
        due=found.runs,
        oldest_since=moment(min(times)) if times else None,
        oldest_run=run,
        oldest_run_id=found.oldest_run_id,
        workers=workers,
    )


async def _oldest_task(journal: Journal, backlog: Backlog) -> tuple[str, int]:
    """The id of its run, and since when it waits; 0 where that is not known."""
    run = await journal.read_run(backlog.oldest_run_id) if backlog.oldest_run_id else None
    if run is None:
        return "", 0
    waits = [wait for wait in run_info(run, None).waiting_for if wait.key == backlog.oldest_key]
    if waits:
        return run.workflow_id, waits[0].since
    place = await journal.find_place(run.run_id)
    return run.workflow_id, 0 if place is None else max(run.started_at, place.not_before)
