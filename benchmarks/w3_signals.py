"""W3: runs that wait for a signal are signalled, all of them; from the first signal to the last result."""

from __future__ import annotations

import asyncio
import time

from keepstep import Engine

from . import shop
from .bench import Bench
from .waiting import until_waiting


async def measure(bench: Bench) -> None:
    runs = bench.scale.w3_runs
    for _ in range(bench.scale.trials):
        with bench.database() as database:
            async with Engine(database.url) as engine:
                handles = await asyncio.gather(*(engine.start(shop.wait_for_go, order) for order in range(runs)))
                await until_waiting(engine, runs)
                began = time.perf_counter()
                await asyncio.gather(*(handle.signal("go") for handle in handles))
                await asyncio.gather(*(handle.result() for handle in handles))
                bench.add("w3.signals", runs / (time.perf_counter() - began))
