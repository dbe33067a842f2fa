"""W11: steps a second with one, two and four worker processes on one database.

A client process without a worker hands the runs in; from the first start to the last result. The server, the workers
and the client share the machine's cores, so that more processes than cores can at best not harm.

    python -m benchmarks.w11_processes URL     a worker
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack

from keepstep import Engine

from .bench import Bench
from .child import Child, say
from .w1_many_runs import many_runs

PROCESSES = (1, 2, 4)


async def be_worker(url: str) -> None:
    async with Engine(url):
        say(ready=True)
        await asyncio.Event().wait()


async def measure(bench: Bench) -> None:
    for _ in range(bench.scale.trials):
        for processes in PROCESSES:
            with bench.database() as database, ExitStack() as stack:
                workers = [
                    stack.enter_context(Child.of_module("w11_processes", database.url)) for _ in range(processes)
                ]
                for worker in workers:
                    await asyncio.to_thread(worker.hear)
                async with Engine(database.url, workers=False) as engine:
                    bench.add(f"w11.steps_{processes}", await many_runs(engine, bench.scale.w1_runs))


if __name__ == "__main__":
    asyncio.run(be_worker(sys.argv[1]))
