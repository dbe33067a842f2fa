"""What ``keepstep doctor`` finds out about how runs are operated: queues, schedules, versions, and late failures."""

from __future__ import annotations

from collections.abc import AsyncIterator

from keepstep.client.engine import Engine
from keepstep.journal import is_surely_dead
from keepstep.schedules.info import ScheduleInfo
from keepstep.server.queue_load import QueueLoad, read_loads
from keepstep.server.versions import read_versions

from .finding import Finding
from .table import span

WAIT_SECONDS_MAX = 300.0
"""What waits longer on a queue that is served is worth telling of."""

SCHEDULES_MAX = 1_000
FAILED_FIRINGS = 3
"""So many last firings that failed, one after another, are a failing schedule."""

FAILED = ("failed", "timed_out")
FAILED_FILTER = "Status IN ('failed', 'timed_out') AND CloseTime > NOW - '1h'"


async def look_at_operation(engine: Engine) -> AsyncIterator[Finding]:
    """Whatever of it is not as it should be."""
    for load in await read_loads(engine.journal):
        if (finding := _queue(load, engine.journal.clock.now() / 1e6)) is not None:
            yield finding
    seen = 0
    async for info in engine.list_schedules():
        seen += 1
        if seen > SCHEDULES_MAX:
            break
        for finding in _schedule(info):
            yield finding
    async for finding in _versions(engine):
        yield finding
    if count := await engine.count(FAILED_FILTER):
        what = f"{count} run{' has' if count == 1 else 's have'} failed within the last hour"
        yield Finding("warning", what, f'keepstep list "{FAILED_FILTER}" shows them; keepstep retry ID reopens one')


def _queue(load: QueueLoad, now: float) -> Finding | None:
    waits = load.waiting + load.due
    if not waits:
        return None
    if load.is_paused:
        what = f"queue {load.name!r} is paused, and {waits} wait on it"
        return Finding("warning", what, f"keepstep queues resume {load.name}")
    since = load.oldest_since
    if load.workers and since is not None and (waited := now - since.timestamp()) > WAIT_SECONDS_MAX:
        what = f"on queue {load.name!r} the oldest of {waits} has waited for {span(waited)}"
        do = f"start more workers, or raise its limits: keepstep queues show {load.name}"
        return Finding("warning", what, do)
    return None


def _schedule(info: ScheduleInfo) -> list[Finding]:
    found = []
    if info.paused:
        note = f" ({info.note})" if info.note else ""
        found.append(Finding("ok", f"schedule {info.id!r} is paused{note}", f"keepstep schedules resume {info.id}"))
    elif not info.upcoming and info.left != 0 and not info.asked:
        what = f"schedule {info.id!r} never fires again"
        found.append(Finding("warning", what, f"keepstep schedules show {info.id}, then change or delete it"))
    last = [firing.status for firing in info.recent][-FAILED_FIRINGS:]
    if len(last) == FAILED_FIRINGS and all(status in FAILED for status in last):
        what = f"the last {FAILED_FIRINGS} runs of schedule {info.id!r} have failed"
        found.append(Finding("warning", what, f"keepstep show {info.recent[-1].id} says why"))
    if info.missed:
        what = f"schedule {info.id!r} has missed {info.missed} firing{'' if info.missed == 1 else 's'}"
        do = "no worker was there in time; keepstep schedules backfill makes up for them"
        found.append(Finding("ok", what, do))
    return found


async def _versions(engine: Engine) -> AsyncIterator[Finding]:
    """Old code that could go, and workers of one module on different code."""
    for each in (await read_versions(engine.journal, engine.namespace)).versions:
        if each.version and each.workers and not each.is_needed:
            what = f"version {each.version!r} of workflow {each.type!r} is served, and no open run needs it"
            yield Finding("ok", what, "its workers may be stopped")
    codes: dict[str, set[str]] = {}
    for state in await engine.journal.list_leases():
        if state.lease.label and not is_surely_dead(state.lease.process):
            codes.setdefault(state.lease.label, set()).add(state.lease.code)
    for label, those in sorted(codes.items()):
        if len(those) > 1:
            what = f"workers of {label} run {len(those)} different states of its code"
            yield Finding("warning", what, "unless a deploy is on its way, restart those that were left behind")
