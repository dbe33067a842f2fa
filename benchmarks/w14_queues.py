"""W14: queues with limits. How many runs a second go through one, and how soon one that is idle is served.

Runs of one step each go through a queue with a concurrency of 16, whose waiting line all of them join at first, under
ten fairness keys. Then single runs are handed in as in W9, on a queue with limits; another process serves it.

    python -m benchmarks.w14_queues URL     the worker; says the delays when it is told to
"""

from __future__ import annotations

import asyncio
import sys
import time
from statistics import median

from keepstep import Engine
from keepstep.journal import Declaration, Limits

from . import shop
from .bench import Bench
from .child import Child, say, wait_for_go
from .w9_pickup import pause_seconds

LANE = "lane"
CONCURRENCY = 16
KEYS = 10
QUEUES = ("default", LANE)


async def be_worker(url: str) -> None:
    async with Engine(url, queues=QUEUES) as engine:
        await limit(engine)
        say(ready=True)
        await asyncio.to_thread(wait_for_go)
        say(delays=shop.watch.delays)


async def limit(engine: Engine) -> None:
    await engine.journal.declare_queues([Declaration(name=LANE, limits=Limits(concurrency=CONCURRENCY))])


async def go_through(url: str, runs: int) -> float:
    """Runs a second."""
    async with Engine(url, queues=QUEUES) as engine:
        await limit(engine)
        await engine.queues.pause(LANE)
        starts = (
            engine.start(shop.picked_up, 0.0, queue=LANE, fairness_key=f"k{order % KEYS}") for order in range(runs)
        )
        handles = await asyncio.gather(*starts)
        began = time.perf_counter()
        await engine.queues.resume(LANE)
        await asyncio.gather(*(handle.result() for handle in handles))
        return runs / (time.perf_counter() - began)


async def hand_in(url: str, runs: int) -> None:
    async with Engine(url, workers=False) as engine:
        for order in range(runs):
            await asyncio.sleep(pause_seconds(order))
            handle = await engine.start(shop.picked_up, time.monotonic(), queue=LANE)
            await handle.result()


async def measure(bench: Bench) -> None:
    for _ in range(bench.scale.trials):
        with bench.database() as database:
            bench.add("w14.runs", await go_through(database.url, bench.scale.w14_runs))
        with bench.database() as database, Child.of_module("w14_queues", database.url) as worker:
            await asyncio.to_thread(worker.hear)
            await hand_in(database.url, bench.scale.w9_runs)
            worker.tell()
            bench.add("w14.pickup_p50", median(worker.hear()["delays"]) * 1000)


if __name__ == "__main__":
    asyncio.run(be_worker(sys.argv[1]))
