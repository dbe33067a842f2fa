"""W1: many runs of ten sequential steps, all started at once, beside raw group-committed inserts in the same minute."""

from __future__ import annotations

import asyncio
import time

from keepstep import Engine

from . import shop
from .bench import Bench
from .row import System


async def many_runs(engine: Engine, runs: int) -> float:
    """Steps a second from the first start to the last result."""
    began = time.perf_counter()
    await asyncio.gather(*(engine.run(shop.many_steps, order, shop.STEPS_A_RUN) for order in range(runs)))
    return runs * shop.STEPS_A_RUN / (time.perf_counter() - began)


async def measure(bench: Bench) -> None:
    """Raw and Keepstep take turns, so that whatever else the machine does hits both."""
    for _ in range(bench.scale.trials):
        with bench.database() as database:
            rate = await asyncio.to_thread(database.raw_rows_per_second)
            bench.add("w1.steps", rate, System.RAW)
            async with Engine(database.url) as engine:
                bench.add("w1.steps", await many_runs(engine, bench.scale.w1_runs))
