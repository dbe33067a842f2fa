"""W4: runs that sleep for a month: what each costs on disk, and what a fresh idle worker beside them costs in memory.

python -m benchmarks.w4_sleepers URL     the idle worker: says its memory and ends
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

from keepstep import Engine

from . import shop
from .bench import Bench
from .child import Child, say
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


def resident_bytes() -> int:
    """Memory of this process now, or its peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


async def be_idle(url: str) -> None:
    async with Engine(url):
        await asyncio.sleep(IDLE_SECONDS)  # long enough for every loop of the worker to have looked around
        say(bytes=resident_bytes())


def idle_worker_bytes(url: str) -> int:
    with Child.of_module("w4_sleepers", url) as child:
        return int(child.hear()["bytes"])


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
