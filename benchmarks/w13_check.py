"""W13: would new code go on with what is open? One process replays all open runs and tells (``keepstep check``).

The code is loaded and the process there before the clock begins; reading the histories is part of what is measured.
"""

from __future__ import annotations

import asyncio
import time

from keepstep import Engine
from keepstep.client.address import open_view
from keepstep.client.checking import Judge, Verdict
from keepstep.journal import Status

from . import shop
from .bench import Bench
from .waiting import until_waiting

STEPS = 10


async def measure(bench: Bench) -> None:
    runs = bench.scale.w13_runs
    with bench.database() as database:
        async with Engine(database.url) as engine:
            bench.say(f"recording {runs:,} runs of {STEPS} steps that wait")
            await asyncio.gather(*(engine.start(shop.long_history, n, STEPS, id=f"open-{n}") for n in range(runs)))
            await until_waiting(engine, runs)
        for _ in range(bench.scale.trials):
            began = time.perf_counter()
            verdict = _check(database.url)
            bench.add("w13.check", verdict.events / (time.perf_counter() - began))
            assert verdict.runs == runs
            assert not verdict.troubles, "the code fits what it has recorded"


def _check(url: str) -> Verdict:
    view = open_view(url)
    try:
        run_ids = [run.run_id for run in view.runs("default", [Status.RUNNING])]
    finally:
        view.close()
    with Judge(url) as judge:
        return judge.judge(run_ids)
