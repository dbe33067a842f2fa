"""Seeded worlds: schedules beside each other, processes that come, are killed and leave. What must hold is checked."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

import keepstep
from keepstep import Engine, workflow
from keepstep.schedules import Overlap, upcoming
from keepstep.testing import run
from tests.runtime.crashing import World

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = 600
SPECS: list[dict[str, Any]] = [
    {"every": "10s"},
    {"every": "7s", "offset": "3s"},
    {"cron": "* * * * *"},
    {"cron": "*/20 * * * * *"},
    {"every": "30s", "jitter": "20s"},
]


@workflow
async def fire_by_seed(seconds: float) -> None:
    await keepstep.sleep(seconds)


async def live(seed: int) -> None:
    chance, world = random.Random(seed), World()
    engine = await world.open(lease_seconds=5.0)
    made = dict[str, dict[str, Any]]()
    for n in range(6):
        made[f"s{n}"] = {"overlap": chance.choice(list(Overlap)), **chance.choice(SPECS)}
        await engine.schedule(f"s{n}", fire_by_seed, chance.choice([0.0, 5.0, 25.0]), **made[f"s{n}"])
    loop = asyncio.get_running_loop()
    while loop.time() < SECONDS:
        await asyncio.sleep(chance.uniform(0.1, 40))
        if world.engines and chance.random() < 0.5:
            world.kill(chance.choice(world.engines))
        while len(world.engines) < chance.choice([0, 1, 2, 3]):
            await world.open(lease_seconds=5.0)
    last = await world.open(lease_seconds=5.0)
    await asyncio.sleep(60)
    for id, words in made.items():
        await check(last, id, words)
    await world.close()


async def check(engine: Engine, id: str, words: dict[str, Any]) -> None:
    """No firing twice, none early, none that is not meant, and none lost that the policy does not leave out."""
    info = await engine.get_schedule(id).describe()
    started = [each async for each in engine.list() if each.id.startswith(f"{id}-")]
    overlap, spec = words["overlap"], {key: value for key, value in words.items() if key != "overlap"}
    nominal = {each: f"{id}-{each:%Y-%m-%dT%H:%M:%SZ}" for each in upcoming(200, after=BEGIN, **spec)}
    times = {name: time for time, name in nominal.items()}
    assert len(started) == len({each.id for each in started}) == info.started
    assert all(each.started_at >= times[each.id] for each in started)
    assert info.missed == info.refused == 0
    now = engine.journal.clock.now() / 1e6
    past = [each for each in nominal if each.timestamp() <= now - 20]
    handled = len(started) + info.skipped + len(info.buffered)
    assert len(past) <= handled <= len([each for each in nominal if each.timestamp() <= now])
    if overlap in (Overlap.ALLOW, Overlap.BUFFER_ALL):
        assert info.skipped == 0
        there = {each.id for each in started} | {nominal[each.astimezone(UTC)] for each in info.buffered}
        assert {nominal[each] for each in past} <= there
    if overlap is not Overlap.ALLOW:
        spans = sorted((each.started_at, each.closed_at or BEGIN + timedelta(days=1)) for each in started)
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_to_processes_each_firing_happens_once_and_none_is_lost(seed: int) -> None:
    run(lambda: live(seed), seed=seed)
