"""10,000 sleeping sync workflows hold no thread, no greenlet and hardly any memory, and wake when their time comes."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

from greenlet import greenlet

from keepstep import Engine, sync
from keepstep.runtime.execution import Execution

SLEEPERS = 10_000
KEPT_MAX = 100
"""Runs that the worker keeps in memory, should they wake soon."""
BYTES_PER_SLEEPER_MAX = 8_000
"""As async ones: what it is are caches of the process (types and ends of the last 100,000 runs), and its garbage."""


@sync.step
async def sync_wake(n: int) -> int:
    return n


@sync.workflow
def sync_sleep_long(n: int) -> int:
    word = sync.receive("wake", int, timeout="30d")
    return sync_wake(n + word)


def count(kind: type) -> int:
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def until_waiting(engine: Engine, runs: int) -> None:
    while await engine.count("condition = 'waiting'") < runs:
        await asyncio.sleep(0.2)


async def test_ten_thousand_sleepers_hold_no_thread_and_no_greenlet(tmp_path: Path) -> None:
    async with Engine(f"sqlite:///{tmp_path}/runs.db", idle_runs_max=KEPT_MAX) as engine:
        for n in range(KEPT_MAX):
            await engine.start(sync_sleep_long, n, id=str(n))
        await until_waiting(engine, KEPT_MAX)
        threads, fibers, executions = threading.active_count(), count(greenlet), count(Execution)
        before = resident_bytes()
        for n in range(KEPT_MAX, SLEEPERS, 200):
            few = range(n, min(n + 200, SLEEPERS))
            await asyncio.gather(*(engine.start(sync_sleep_long, each, id=str(each)) for each in few))
        await until_waiting(engine, SLEEPERS)
        assert threading.active_count() <= threads + 1
        assert count(greenlet) <= fibers + KEPT_MAX
        assert count(Execution) <= executions + KEPT_MAX
        assert resident_bytes() - before <= SLEEPERS * BYTES_PER_SLEEPER_MAX
        woken = range(0, SLEEPERS, SLEEPERS // 50)
        for n in woken:
            await engine.signal(str(n), "wake", 1)
        results = await asyncio.gather(*(engine.get(str(n)).result() for n in woken))
        assert results == [n + 1 for n in woken]
