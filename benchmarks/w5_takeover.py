"""W5: a worker with a thousand open runs, each in the middle of a step, is lost. How long until another has done all?

Twice. First the owner is killed with SIGKILL: its death can be seen on the same machine, and its runs are taken over at
once. Then the owner is frozen with SIGSTOP, so that nobody can tell it from a living one: its runs are taken over when
its lease is over, and the time counts from there. The heir has done its imports and opens its engine at the kill.

    python -m benchmarks.w5_takeover victim|heir URL RUNS
"""

from __future__ import annotations

import asyncio
import sys
import time

from keepstep import Engine

from . import shop
from .bench import Bench
from .child import Child, say, wait_for_go
from .waiting import until_completed

LEASE_SECONDS = 10.0
REST_SECONDS = 1.0


async def be_victim(url: str, runs: int) -> None:
    shop.watch.is_victim = True
    room = runs + 1
    async with Engine(url, lease_seconds=LEASE_SECONDS, active_runs_max=room, concurrent_steps_max=room) as engine:
        await asyncio.gather(*(engine.start(shop.interrupted, order, id=f"run-{order}") for order in range(runs)))
        while shop.watch.hanging < runs:
            await asyncio.sleep(0.01)
        await asyncio.sleep(REST_SECONDS)  # a process that is frozen while it writes would keep the file's lock
        say(ready=True)
        await asyncio.Event().wait()


async def until_finished(runs: int) -> None:
    while shop.watch.finished < runs:
        await asyncio.sleep(0.005)


async def be_heir(url: str, runs: int) -> None:
    say(ready=True)
    await asyncio.to_thread(wait_for_go)
    async with Engine(url, lease_seconds=LEASE_SECONDS) as engine:
        await until_finished(1)
        say(begun=True)
        await until_finished(runs)
        await until_completed(engine, runs)
        say(completed=await engine.count("Status = 'completed'"))


def take_over(bench: Bench, *, kill: bool) -> tuple[float, float, int]:
    """Seconds from the loss of the owner until the first run is done, until all are, and how many are not."""
    runs = bench.scale.w5_runs
    with (
        bench.database() as database,
        Child.of_module("w5_takeover", "victim", database.url, runs) as victim,
        Child.of_module("w5_takeover", "heir", database.url, runs) as heir,
    ):
        heir.hear()
        victim.hear()
        began = time.perf_counter()
        victim.kill() if kill else victim.freeze()
        heir.tell()
        heir.hear()
        first = time.perf_counter() - began
        completed = int(heir.hear()["completed"])
        return first, time.perf_counter() - began, runs - completed


async def measure(bench: Bench) -> None:
    for _ in range(bench.scale.trials):
        first, seconds, lost = await asyncio.to_thread(take_over, bench, kill=True)
        bench.add("w5.takeover", first)
        bench.add("w5.resumed", seconds - first)
        bench.add("w5.after_kill", seconds)
        bench.add("w5.lost", lost)
        _, seconds, lost = await asyncio.to_thread(take_over, bench, kill=False)
        bench.add("w5.after_expiry", max(0.0, seconds - LEASE_SECONDS))
        bench.add("w5.lost", lost)


if __name__ == "__main__":
    role = be_victim if sys.argv[1] == "victim" else be_heir
    asyncio.run(role(sys.argv[2], int(sys.argv[3])))
