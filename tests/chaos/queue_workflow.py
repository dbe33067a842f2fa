"""Work on limited queues that notes in a file when it begins and ends, for ``test_queue_kills``."""

from __future__ import annotations

import asyncio
import os
import time

import keepstep
from keepstep import step, workflow

CONCURRENCY = {"steps": 3, "runs": 2}
PER_KEY = 1

keepstep.queue("killed steps", concurrency=CONCURRENCY["steps"], per_key=PER_KEY)
keepstep.queue("killed runs", concurrency=CONCURRENCY["runs"])


def note(kind: str, what: str, which: str) -> None:
    line = f"{kind} {what} {which} {os.getpid()} {time.monotonic()}\n"
    descriptor = os.open(os.environ["KEEPSTEP_TEST_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


@step(queue="killed steps")
async def use_a_slot(which: str) -> None:
    note("steps", "begin", which)
    await asyncio.sleep(0.05)
    note("steps", "end", which)


@step
async def use_the_runs_slot(which: str) -> None:
    note("runs", "begin", which)
    await asyncio.sleep(0.03)
    note("runs", "end", which)


@workflow
async def ask_for_slots(n: int) -> int:
    calls = [use_a_slot.options(fairness_key=f"k{n % 4}")(f"{n}.{i}") for i in range(3)]
    await asyncio.gather(*calls)
    return n


@workflow(queue="killed runs")
async def hold_a_slot(n: int) -> int:
    await use_the_runs_slot(f"{n}.0")
    await keepstep.sleep(0.05)
    await use_the_runs_slot(f"{n}.1")
    return n
