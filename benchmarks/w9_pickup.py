"""W9: how soon does a worker in another process begin what it is handed, when all is quiet?

From just before the call that starts a run in one process to the first line of the run's first step in another. The
runs are handed in one by one, with pauses that are in step with nobody's poll.

    python -m benchmarks.w9_pickup URL     the worker; says the delays when it is told to
"""

from __future__ import annotations

import asyncio
import sys
import time
from statistics import median

from keepstep import Engine

from . import shop
from .bench import Bench
from .child import Child, say, wait_for_go


async def be_worker(url: str) -> None:
    async with Engine(url):
        say(ready=True)
        await asyncio.to_thread(wait_for_go)
        say(delays=shop.watch.delays)


def pause_seconds(order: int) -> float:
    return 0.07 + 0.001 * (order * 37 % 61)


async def hand_in(url: str, runs: int) -> None:
    async with Engine(url, workers=False) as engine:
        for order in range(runs):
            await asyncio.sleep(pause_seconds(order))
            handle = await engine.start(shop.picked_up, time.monotonic())
            await handle.result()


async def measure(bench: Bench) -> None:
    runs = bench.scale.w9_runs
    for _ in range(bench.scale.trials):
        with bench.database() as database, Child.of_module("w9_pickup", database.url) as worker:
            await asyncio.to_thread(worker.hear)
            await hand_in(database.url, runs)
            worker.tell()
            bench.add("w9.pickup_p50", median(worker.hear()["delays"]) * 1000)


if __name__ == "__main__":
    asyncio.run(be_worker(sys.argv[1]))
