"""W15: schedules: how soon are they all started when many are due in the same second, and how late is one alone?

How late a firing is, is the run's own start, by the engine's clock, against the time that it was scheduled for.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles

from keepstep import Engine
from keepstep.schedules import Calendar

from . import shop
from .bench import Bench
from .waiting import until_completed

MADE_AT_ONCE = 500
MADE_PER_SECOND_MIN = 300
ALONE_SECONDS = 12


def at_second(moment: datetime) -> Calendar:
    """The one second of that moment."""
    return Calendar(
        year=moment.year,
        month=moment.month,
        day=moment.day,
        hour=moment.hour,
        minute=moment.minute,
        second=moment.second,
    )


async def make_all(engine: Engine, schedules: int) -> datetime:
    """Make so many schedules that fire once, at the same second; which that is."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3 + schedules // MADE_PER_SECOND_MIN)
    for first in range(0, schedules, MADE_AT_ONCE):
        some = range(first, min(first + MADE_AT_ONCE, schedules))
        await asyncio.gather(*(engine.schedule(f"due-{n}", shop.empty, n, calendar=at_second(due)) for n in some))
    assert datetime.now(UTC) < due, "the schedules were not made in time"
    return due


async def measure_all_due(bench: Bench, url: str) -> None:
    schedules = bench.scale.w15_schedules
    async with Engine(url) as engine:
        due = await make_all(engine, schedules)
        await asyncio.sleep((due - datetime.now(UTC)).total_seconds())
        await until_completed(engine, schedules)
        late = sorted([(each.started_at - due).total_seconds() async for each in engine.list()])
        assert len(late) == schedules
        assert late[0] >= 0
        bench.add("w15.all_started", late[-1])
        bench.add("w15.burst_p50", median(late))


async def measure_alone(bench: Bench, url: str) -> None:
    async with Engine(url) as engine:
        await engine.schedule("alone", shop.empty, 1, every="1s", overlap="allow")
        late = list[float]()
        seen = set[str]()
        for _ in range(ALONE_SECONDS):
            await asyncio.sleep(1)
            info = await engine.get_schedule("alone").describe()
            late += [each.lateness_seconds for each in info.recent if each.id not in seen]
            seen |= {each.id for each in info.recent}
        bench.add("w15.late_p50", median(late) * 1000)
        bench.add("w15.late_p99", quantiles(late, n=100, method="inclusive")[98] * 1000)


async def measure(bench: Bench) -> None:
    for _ in range(bench.scale.trials):
        with bench.database() as database:
            await measure_all_due(bench, database.url)
        with bench.database() as database:
            await measure_alone(bench, database.url)
