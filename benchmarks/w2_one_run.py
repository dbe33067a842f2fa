"""W2: one run alone. What a step costs when nothing travels with its commit, a thousand at once, and an empty run."""

from __future__ import annotations

import asyncio
import itertools
import time
from statistics import median

from keepstep import Engine

from . import shop
from .bench import Bench
from .row import System

STEPS_AT_ONCE = 1000


async def step_milliseconds(engine: Engine, steps: int) -> float:
    """The median time from one step's body to the next one's: record, flush, deliver, advance, call."""
    shop.watch.step_times.clear()
    await engine.run(shop.many_steps, 1, steps)
    times = shop.watch.step_times
    return median(after - before for before, after in itertools.pairwise(times)) * 1000


async def gather_seconds(engine: Engine, steps: int) -> float:
    """The time from start to result of a run whose steps are all executed at once."""
    began = time.perf_counter()
    await engine.run(shop.steps_at_once, 1, steps)
    return time.perf_counter() - began


async def empty_run_milliseconds(engine: Engine, runs: int) -> float:
    """The median time from start to result of a run without steps, one after another."""
    took = []
    for order in range(runs):
        began = time.perf_counter()
        await engine.run(shop.empty, order)
        took.append(time.perf_counter() - began)
    return median(took) * 1000


async def measure(bench: Bench) -> None:
    for _ in range(bench.scale.trials):
        with bench.database() as database:
            bench.add("w2.step_p50", await asyncio.to_thread(database.raw_commit_milliseconds), System.RAW)
            async with Engine(database.url) as engine:
                bench.add("w2.step_p50", await step_milliseconds(engine, bench.scale.w2_steps))
                bench.add("w2.empty_p50", await empty_run_milliseconds(engine, bench.scale.w2_empty_runs))
                bench.add("w2.gather", await gather_seconds(engine, STEPS_AT_ONCE))
