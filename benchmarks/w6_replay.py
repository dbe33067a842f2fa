"""W6: a run with a long history has left memory and is told to go on: from the signal to the result.

That is loading and decoding all events, running the function from the top and delivering every recorded result.
"""

from __future__ import annotations

import asyncio
import time

from keepstep import Engine

from . import shop
from .bench import Bench
from .waiting import until_waiting


async def measure(bench: Bench) -> None:
    steps, trials = bench.scale.w6_steps, bench.scale.trials
    with bench.database() as database:
        async with Engine(database.url) as engine:
            bench.say(f"recording {trials} runs of {steps:,} steps")
            await asyncio.gather(*(engine.start(shop.long_history, n, steps, id=f"long-{n}") for n in range(trials)))
            await until_waiting(engine, trials)
        for number in range(trials):
            async with Engine(database.url) as engine:  # a new worker, that has none of the runs in memory
                handle = engine.get(f"long-{number}")
                began = time.perf_counter()
                await handle.signal("go")
                await handle.result()
                bench.add("w6.replay", time.perf_counter() - began)
