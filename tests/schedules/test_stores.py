"""Schedules on every store, in real time: several engines fire once, in time, also when one of them is killed."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keepstep import Engine
from keepstep.journal import SystemClock
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.schedules import ScheduleInfo
from tests.schedules.killed_worker import fire_where_a_worker_is_killed

SCHEDULES = 10


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Makes what opens one more engine on the same store."""
    if request.param == "memory":
        disk = MemoryDisk()
        return lambda: {"journal": MemoryJournal(disk, clock=SystemClock())}
    if request.param == "sqlite":
        return lambda: {"url": f"sqlite:///{tmp_path / 'schedules.db'}"}
    url = request.getfixturevalue("postgres_url")
    return lambda: {"url": url}


async def every_second(engine: Engine) -> None:
    for n in range(SCHEDULES):
        await engine.schedule(f"s{n}", fire_where_a_worker_is_killed, n, every="1s")


async def until_fired(engine: Engine, times: int) -> list[ScheduleInfo]:
    """Wait until each schedule has fired so often."""
    deadline = datetime.now(UTC) + timedelta(seconds=40)
    while True:
        infos = [each async for each in engine.list_schedules()]
        if all(each.started >= times for each in infos):
            return infos
        assert datetime.now(UTC) < deadline, [each.started for each in infos]
        await asyncio.sleep(0.05)


async def test_two_engines_fire_each_second_once_and_in_time(options: Any) -> None:
    async with Engine(**options()) as first, Engine(**options()):
        await every_second(first)
        infos = await until_fired(first, 3)
        for info in infos:
            assert info.missed == info.refused == 0
            for earlier, later in zip(info.recent, info.recent[1:], strict=False):
                assert later.scheduled_for - earlier.scheduled_for == timedelta(seconds=1) or info.skipped
            assert all(0 <= each.lateness_seconds <= 5 for each in info.recent)  # one second where nothing else runs
        ids = [each.id async for each in first.list()]
        assert len(ids) == len(set(ids))


async def test_a_client_alone_makes_changes_that_count_at_once(options: Any) -> None:
    async with Engine(**options(), workers=False) as client:
        handle = await client.schedule("alone", fire_where_a_worker_is_killed, 1, every="1h")
        await handle.pause("by a client")
        info = await handle.describe()
        assert (info.paused, info.note, info.started) == (True, "by a client", 0)
        triggered = await handle.trigger()
        async with Engine(**options()):
            deadline = datetime.now(UTC) + timedelta(seconds=20)
            while (await handle.describe()).asked:
                assert datetime.now(UTC) < deadline
                await asyncio.sleep(0.02)
            assert await client.get(triggered).result(timeout="20s") == 1


@pytest.mark.stress
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_when_a_worker_is_killed_the_other_fires_what_it_held(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'kill.db'}" if store == "sqlite" else request.getfixturevalue("postgres_url")
    async with Engine(url, lease_seconds=2.0) as here:
        await every_second(here)
        for _ in range(2):
            other = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.schedules.killed_worker", url, stdout=asyncio.subprocess.PIPE
            )
            assert other.stdout is not None
            assert await other.stdout.readline() == b"ready\n"
            fired = max(each.started for each in [one async for one in here.list_schedules()])
            await until_fired(here, fired + 2)
            other.send_signal(signal.SIGKILL)
            await other.wait()
            await until_fired(here, fired + 5)
        infos = [each async for each in here.list_schedules()]
        for info in infos:
            assert (info.missed, info.refused) == (0, 0)
        ids = [each.id async for each in here.list()]
        assert len(ids) == len(set(ids))
        assert abs(len(ids) - sum(each.started for each in infos)) <= SCHEDULES  # some have fired while it was counted
