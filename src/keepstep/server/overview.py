"""Overview: how the runs of a namespace are doing: what has happened lately as curves, and what needs a person.

Curves are made of a flow (``journal.flow``): counts are exact where a stretch is not too full, and estimates beyond
that, which is said; how long runs took, and which types failed, is told from a sample of each stretch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from keepstep.client.info import moment
from keepstep.client.searching import count_found
from keepstep.journal import Condition, Journal, Status, is_surely_dead
from keepstep.journal.flow import COUNTED_MAX, Ended, Sampled, Stretch, Window

from .queue_load import QueueLoad, read_loads

Since = Literal["1h", "6h", "24h", "7d", "30d"]

SECONDS: dict[str, int] = {"1h": 3_600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000}

POINTS = 48
"""Of a curve."""

STRETCHES_OF_POINT = 2
"""That are counted one by one, so that an estimate minds how the runs of a point lie in time."""

TYPES_MAX = 8
"""Of types that fail the others are told together."""

FAILED = (Status.FAILED, Status.TIMED_OUT)
PARKED = (Condition.BLOCKED, Condition.UNCERTAIN, Condition.QUARANTINED)
RECENT_SECONDS = 3_600
RECENT_STRETCHES = 12


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long completed runs took, from start to close. Seconds; null where none completed."""

    p50: float | None
    p95: float | None
    p99: float | None
    sampled: int
    """Of how many runs that is told."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one stretch of time."""

    at: datetime
    """When it began."""
    started: float
    ended: dict[str, float]
    """By status; none in which no run ended."""
    is_estimated: bool
    latency: Latency


class FailingType(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs of a type failed or timed out."""

    type: str
    """Empty for all types beside those that are named."""
    total: float
    points: list[float]
    """In the order of the points."""


class Concern(msgspec.Struct, frozen=True, kw_only=True):
    """Something that needs a person."""

    kind: Literal["parked", "failed", "unserved", "paused", "worker_gone"]
    count: float
    """Of runs; of a queue, of what waits there; of a worker, of runs and tasks that it had."""
    what: str
    """The condition; the name of the queue; the worker's process and host."""
    filter: str
    """By which the runs are found; empty where none does."""
    is_estimated: bool = False


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """How things are."""

    now: datetime
    point_seconds: float
    points: list[Point]
    latency: Latency
    """Over all points."""
    failures: list[FailingType]
    """The most first."""
    concerns: list[Concern]
    """The gravest first."""


async def read_overview(journal: Journal, namespace: str, since: Since) -> Overview:
    """Both, as of now."""
    now = journal.clock.now()
    width = SECONDS[since] * 1_000_000 // (POINTS * STRETCHES_OF_POINT)
    window = Window(now - width * POINTS * STRETCHES_OF_POINT, width, POINTS * STRETCHES_OF_POINT)
    flow = await journal.read_flow(namespace, window)
    parts = [flow[at : at + STRETCHES_OF_POINT] for at in range(0, len(flow), STRETCHES_OF_POINT)]
    completed = [each for stretch in flow for each in _sample(stretch, Status.COMPLETED)]
    return Overview(
        now=moment(now),
        point_seconds=width * STRETCHES_OF_POINT / 1e6,
        points=[_point(part, window, place) for place, part in enumerate(parts)],
        latency=latency_of(each.microseconds for each in completed),
        failures=failing_types(parts, window),
        concerns=await read_concerns(journal, namespace, now),
    )


def _sample(stretch: Stretch, status: Status) -> Sequence[Sampled]:
    ended = stretch.ended.get(status)
    return [] if ended is None else ended.sample


def _point(part: Sequence[Stretch], window: Window, place: int) -> Point:
    first = place * STRETCHES_OF_POINT
    started, ended, is_estimated = 0.0, defaultdict[str, float](float), False
    for nth, stretch in enumerate(part, first):
        began = window.since + nth * window.width
        started += stretch.started.estimate(began, window.width)
        is_estimated |= stretch.started.counted >= COUNTED_MAX
        for status, each in stretch.ended.items():
            ended[status.value] += each.count.estimate(began, window.width)
            is_estimated |= each.count.counted >= COUNTED_MAX
    took = [each.microseconds for stretch in part for each in _sample(stretch, Status.COMPLETED)]
    return Point(
        at=moment(window.since + first * window.width),
        started=started,
        ended=dict(ended),
        is_estimated=is_estimated,
        latency=latency_of(took),
    )


def latency_of(microseconds: Iterable[int]) -> Latency:
    """Percentiles, each of them a time that one of the runs took."""
    times = sorted(microseconds)

    def percentile(part: float) -> float | None:
        return times[min(int(len(times) * part), len(times) - 1)] / 1e6 if times else None

    return Latency(p50=percentile(0.5), p95=percentile(0.95), p99=percentile(0.99), sampled=len(times))


def failing_types(parts: Sequence[Sequence[Stretch]], window: Window) -> list[FailingType]:
    """Which types failed, and when. Of a full stretch, the types are taken to be mixed as in its sample."""
    found: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * len(parts))
    for place, part in enumerate(parts):
        for nth, stretch in enumerate(part, place * STRETCHES_OF_POINT):
            for status in FAILED:
                if (ended := stretch.ended.get(status)) is not None:
                    began = window.since + nth * window.width
                    _add_types(found, place, ended, ended.count.estimate(began, window.width))
    told = [FailingType(type=type_, total=sum(points), points=points) for type_, points in found.items()]
    told.sort(key=lambda each: (-each.total, each.type))
    named, others = told[:TYPES_MAX], told[TYPES_MAX:]
    if others:
        points = [sum(each.points[place] for each in others) for place in range(len(parts))]
        named.append(FailingType(type="", total=sum(points), points=points))
    return named


def _add_types(found: defaultdict[str, list[float]], place: int, ended: Ended, total: float) -> None:
    for each in ended.sample:
        found[each.type][place] += total / len(ended.sample)


async def read_concerns(journal: Journal, namespace: str, now: int) -> list[Concern]:
    """What needs a person."""
    concerns = list[Concern]()
    for condition in PARKED:
        filter = f"Condition = '{condition.value}'"
        if count := await count_found(journal, namespace, filter):
            concerns.append(Concern(kind="parked", count=count, what=condition.value, filter=filter))
    concerns += await _failed(journal, namespace, now)
    concerns += [each for load in await read_loads(journal) if (each := _of_queue(load)) is not None]
    concerns += [
        Concern(
            kind="worker_gone",
            count=state.runs_held + state.tasks_held,
            what=f"process {state.lease.process.pid} on {state.lease.process.host}",
            filter="",
        )
        for state in await journal.list_leases()
        if is_surely_dead(state.lease.process)
    ]
    return concerns


async def _failed(journal: Journal, namespace: str, now: int) -> list[Concern]:
    """Runs that failed within the last hour."""
    width = RECENT_SECONDS * 1_000_000 // RECENT_STRETCHES
    window = Window(now - width * RECENT_STRETCHES, width, RECENT_STRETCHES)
    count, is_estimated = 0.0, False
    for nth, stretch in enumerate(await journal.read_flow(namespace, window)):
        for status in FAILED:
            if (ended := stretch.ended.get(status)) is not None:
                count += ended.count.estimate(window.since + nth * width, width)
                is_estimated |= ended.count.counted >= COUNTED_MAX
    statuses = ", ".join(f"'{status.value}'" for status in FAILED)
    filter = f"Status IN ({statuses}) AND CloseTime > NOW - '1h' ORDER BY CloseTime DESC"
    if not count:
        return []
    return [Concern(kind="failed", count=count, what="1h", filter=filter, is_estimated=is_estimated)]


def _of_queue(load: QueueLoad) -> Concern | None:
    waits = load.waiting + load.due
    filter = f"Status = 'running' AND Queue = '{load.name.replace(chr(39), chr(39) * 2)}'"
    if waits and not load.workers:
        return Concern(kind="unserved", count=waits, what=load.name, filter=filter)
    if waits and load.is_paused:
        return Concern(kind="paused", count=waits, what=load.name, filter=filter)
    return None
