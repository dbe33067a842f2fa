"""W8: does a step cost the same late in a long history, and beside very many closed runs?

History: one run alone; the median time from step to step within windows of its history. Closed runs: the time a step
takes when many runs go at once, on databases that hold none, many, and very many closed runs, in turns.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median

from keepstep import Engine

from . import shop
from .bench import Bench
from .closed_runs import copy_closed_run
from .store import Database, SqliteDatabase
from .w1_many_runs import many_runs

WINDOW = 100
BEGINNINGS = 10
RUNS_AT_ONCE = 200


async def step_gaps(engine: Engine, steps: int) -> list[float]:
    """Seconds from each step of a run alone to the next one."""
    shop.watch.step_times.clear()
    await engine.run(shop.many_steps, 1, steps + 1)
    return [after - before for before, after in pairwise(shop.watch.step_times)]


async def measure_history(bench: Bench) -> None:
    """The beginning is over in a moment, so it is taken from several runs; one of them goes on to the end."""
    length = bench.scale.w8_history
    with bench.database() as database:
        async with Engine(database.url) as engine:
            beginnings = [await step_gaps(engine, 2 * WINDOW) for _ in range(BEGINNINGS)]
            late = median((await step_gaps(engine, length + WINDOW))[length:])
    first = median(gap for gaps in beginnings for gap in gaps[:WINDOW])
    second = median(gap for gaps in beginnings for gap in gaps[WINDOW:])
    bench.add("w8.history_100", second / first)
    bench.add("w8.history_10000", late / first)


def path_of(database: Database) -> Path:
    """The copying is done by SQLite's own means."""
    assert isinstance(database, SqliteDatabase)
    return database.path


async def prepare(database: Database, closed: int) -> None:
    """A database with so many closed runs."""
    async with Engine(database.url) as engine:
        await engine.run(shop.many_steps, 0, 1)
    if closed:
        await asyncio.to_thread(copy_closed_run, path_of(database), closed)


async def step_seconds(database: Database) -> float:
    async with Engine(database.url) as engine:
        await many_runs(engine, RUNS_AT_ONCE // 4)  # the first pages of a large file come from the disk
        return 1 / await many_runs(engine, RUNS_AT_ONCE)


async def measure_closed(bench: Bench) -> None:
    with ExitStack() as stack:
        databases = [stack.enter_context(bench.database()) for _ in range(3)]
        for database, closed in zip(databases, (0, *bench.scale.w8_closed), strict=True):
            bench.say(f"filling a database with {closed:,} closed runs")
            await prepare(database, closed)
        for _ in range(bench.scale.trials):
            none, some, many = [await step_seconds(database) for database in databases]
            bench.add("w8.closed_some", some / none)
            bench.add("w8.closed_many", many / none)


async def measure(bench: Bench) -> None:
    for _ in range(bench.scale.trials):
        await measure_history(bench)
    await measure_closed(bench)
