"""Vitals: how a namespace is doing at this moment, for whoever keeps an eye on it in a terminal.

What the store counts along its indexes is asked each time. What looks at every open run, or at every queue, is kept for
ten times as long as it took (``server.dear``), so that the store of a million runs is not kept busy by being looked at.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from keepstep.client.engine import Engine
from keepstep.client.info import RunInfo, moment
from keepstep.client.searching import count_groups
from keepstep.journal import Condition, Journal, LeaseState, Status, is_surely_dead
from keepstep.journal.flow import COUNTED_MAX, Stretch, Window
from keepstep.server.dear import read_dear
from keepstep.server.queue_load import OF_GUESTS, QueueLoad, read_loads

STRETCHES, STRETCH_SECONDS = 30, 2
"""Of the last minute."""

LATEST_STRETCHES = 5
"""Of which the rates are told: the last ten seconds."""

RUNS_SHOWN = 8
FAILED_SHOWN = 5
FAILED = "Status IN ('failed', 'timed_out') AND CloseTime > NOW - '1d' ORDER BY CloseTime DESC"
NEWEST = "ORDER BY StartTime DESC"


class WorkerLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that has not said goodbye."""

    pid: int
    host: str
    label: str
    """The module that it runs."""
    queues: list[str]
    runs: int
    """That it has in its memory."""
    tasks: int
    is_dead: bool
    """Its process is gone, as far as can be told from here."""


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """A run in one line."""

    id: str
    type: str
    status: Status
    condition: Condition
    started_at: datetime
    closed_at: datetime | None
    says: str
    """Its error, or what it says of itself."""


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """Rates are runs a second over the last ten seconds."""

    now: datetime
    url: str
    namespace: str
    started_rate: float
    ended_rates: dict[str, float]
    """By status."""
    is_estimated: bool
    """There were more of some kind than are counted one by one."""
    started: list[float]
    """Runs that began in each two seconds of the last minute."""
    ended: list[float]
    open_runs: dict[str, int]
    """By condition; those that have none are ``advancing``."""
    queues: list[QueueLoad]
    workers: list[WorkerLoad]
    newest: list[RunLine]
    failed: list[RunLine]
    """Within a day, the last one first."""


async def read_vitals(engine: Engine) -> Vitals:
    """As of now."""
    journal, width = engine.journal, STRETCH_SECONDS * 1_000_000
    now = journal.clock.now()
    window = Window(now - STRETCHES * width, width, STRETCHES)
    flow = await journal.read_flow(engine.namespace, window)
    started = [each.started.estimate(window.since + nth * width, width) for nth, each in enumerate(flow)]
    ended = [_ended(each, window.since + nth * width) for nth, each in enumerate(flow)]
    latest_seconds = LATEST_STRETCHES * STRETCH_SECONDS
    return Vitals(
        now=moment(now),
        url=engine.url,
        namespace=engine.namespace,
        started_rate=sum(started[-LATEST_STRETCHES:]) / latest_seconds,
        ended_rates={status: count / latest_seconds for status, count in _summed(ended[-LATEST_STRETCHES:]).items()},
        is_estimated=any(map(_is_estimated, flow[-LATEST_STRETCHES:])),
        started=started,
        ended=[sum(each.values()) for each in ended],
        open_runs=await read_dear(engine, "vitals: open runs", _count_open),
        queues=await read_dear(engine, "vitals: queues", _read_queues),
        workers=[_worker(each) for each in await journal.list_leases()],
        newest=await _runs(engine, NEWEST, RUNS_SHOWN),
        failed=await _runs(engine, FAILED, FAILED_SHOWN),
    )


def _ended(stretch: Stretch, began: int) -> dict[str, float]:
    width = STRETCH_SECONDS * 1_000_000
    return {status.value: each.count.estimate(began, width) for status, each in stretch.ended.items()}


def _summed(parts: list[dict[str, float]]) -> dict[str, float]:
    return {
        status: sum(part.get(status, 0.0) for part in parts) for status in sorted({key for p in parts for key in p})
    }


def _is_estimated(stretch: Stretch) -> bool:
    return any(each.counted >= COUNTED_MAX for each in (stretch.started, *(of.count for of in stretch.ended.values())))


async def _count_open(journal: Journal, namespace: str) -> dict[str, int]:
    found = await count_groups(journal, namespace, "Condition", "Status = 'running'")
    return {str(condition) if condition else "advancing": count for condition, count in found.items()}


async def _read_queues(journal: Journal, namespace: str) -> list[QueueLoad]:
    return await read_loads(journal)


def _worker(state: LeaseState) -> WorkerLoad:
    process = state.lease.process
    return WorkerLoad(
        pid=process.pid,
        host=process.host,
        label=state.lease.label,
        queues=[each for each in state.lease.queues if each not in OF_GUESTS],
        runs=state.runs_held,
        tasks=state.tasks_held,
        is_dead=is_surely_dead(process),
    )


async def _runs(engine: Engine, filter: str, limit: int) -> list[RunLine]:
    return [_line(info) for info in (await engine.page(filter, limit=limit)).runs]


def _line(info: RunInfo) -> RunLine:
    return RunLine(
        id=info.id,
        type=info.type,
        status=info.status,
        condition=info.condition,
        started_at=info.started_at,
        closed_at=info.closed_at,
        says=info.error or info.status_text,
    )
