"""W4: runs that sleep for a month: what each costs on disk, and what a fresh idle worker beside them costs in memory.

python -m benchmarks.w4_sleepers URL     the idle worker
"""

from __future__ import annotations

import asyncio
import sys

from keepstep import Engine

from . import shop
from .bench import Bench
from .child import Child, say, wait_for_go
from .waiting import until_waiting

STARTS_AT_ONCE = 500
IDLE_SECONDS = 4.0


async def put_to_sleep(url: str, runs: int) -> None:
    """Start them all and wait until each is asleep."""
    async with Engine(url) as engine:
        for first in range(0, runs, STARTS_AT_ONCE):
            orders = range(first, min(first + STARTS_AT_ONCE, runs))
            await asyncio.gather(*(engine.start(shop.sleeper, order) for order in orders))
        await until_waiting(engine, runs)


async def be_idle(url: str) -> None:
    async with Engine(url):
        await asyncio.sleep(IDLE_SECONDS)  # long enough for every loop of the worker to have looked around
        say(ready=True)
        await asyncio.to_thread(wait_for_go)


def idle_worker_bytes(url: str) -> int:
    with Child.of_module("w4_sleepers", url) as child:
        child.hear()
        return child.resident_bytes()


async def measure(bench: Bench) -> None:
    runs = bench.scale.w4_runs
    for _ in range(bench.scale.trials):
        with bench.database() as database:
            without = await asyncio.to_thread(idle_worker_bytes, database.url)
            await put_to_sleep(database.url, runs)
            bench.add("w4.disk", database.size_bytes() / runs)
            beside = await asyncio.to_thread(idle_worker_bytes, database.url)
            bench.add("w4.rss", beside / 2**20)
            bench.add("w4.memory", max(0, beside - without) / runs)


if __name__ == "__main__":
    asyncio.run(be_idle(sys.argv[1]))
