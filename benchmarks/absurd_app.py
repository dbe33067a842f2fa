"""Absurd's side of the benchmarks: the same workloads for its Python SDK on PostgreSQL.

A program of its own: it runs in ``.venv-peers``, where Keepstep is not installed. One process plays one role in one
trial and prints one line of JSON for each thing it has to say. A worker of Absurd has one connection; ``WORKERS`` of
them work in this process, each with its default poll of 0.25 s. That is faster than one of them, and than more.

    python benchmarks/absurd_app.py ROLE URL SIZE
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

import psycopg
from absurd_sdk import AsyncAbsurd, AsyncTaskContext

STEPS_A_RUN = 10
WORKERS = 4
RUNS_A_WORKER = 300
CLAIM_SECONDS = 10
"""Instead of the default of 120: as long as Keepstep's lease."""

QUEUE = "default"
MONTH_SECONDS = 30 * 24 * 3600
IDLE_SECONDS = 4.0

step_times: list[float] = []
delays: list[float] = []
finished = 0
hanging = 0
is_victim = False


async def touch(ctx: AsyncTaskContext, order: int, number: int) -> None:
    async def body() -> dict[str, Any]:
        step_times.append(time.perf_counter())
        return {"id": f"ch_{order:010d}", "amount": 4200, "currency": "eur", "status": "succeeded", "attempt": number}

    await ctx.step("touch", body)


async def many_steps(params: Any, ctx: AsyncTaskContext) -> Any:
    for number in range(params["steps"]):
        await touch(ctx, params["order"], number)
    return note_finished(params)


async def empty(params: Any, ctx: AsyncTaskContext) -> Any:
    return params["order"]


async def wait_for_go(params: Any, ctx: AsyncTaskContext) -> Any:
    await ctx.await_event(f"go:{params['order']}")
    return note_finished(params)


async def sleeper(params: Any, ctx: AsyncTaskContext) -> Any:
    await ctx.sleep_for("month", MONTH_SECONDS)
    return note_finished(params)


async def interrupted(params: Any, ctx: AsyncTaskContext) -> Any:
    global hanging
    await touch(ctx, params["order"], 0)
    if is_victim:
        hanging += 1
        await asyncio.Event().wait()
    await touch(ctx, params["order"], 1)
    return note_finished(params)


async def long_history(params: Any, ctx: AsyncTaskContext) -> Any:
    for number in range(params["steps"]):
        await touch(ctx, params["order"], number)
    await ctx.await_event("go:1")
    return note_finished(params)


async def note_pickup(params: Any, ctx: AsyncTaskContext) -> Any:
    delays.append(time.monotonic() - params["began"])
    return None


def note_finished(params: Any) -> Any:
    global finished
    finished += 1
    return params["order"]


TASKS = (many_steps, empty, wait_for_go, sleeper, interrupted, long_history, note_pickup)


class Process:
    """The workers and the client of this process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = AsyncAbsurd(url, queue_name=QUEUE)
        self.workers: list[asyncio.Task[None]] = []

    async def work(self) -> None:
        for number in range(WORKERS):
            app = AsyncAbsurd(self.url, queue_name=QUEUE)
            for task in TASKS:
                app.register_task(task.__name__)(task)
            self.workers.append(asyncio.create_task(app.start_worker(
                worker_id=f"{os.getpid()}:{number}", claim_timeout=CLAIM_SECONDS, concurrency=RUNS_A_WORKER,
            )))  # fmt: skip

    async def spawn(self, task: Callable[..., Awaitable[Any]], **params: Any) -> Any:
        spawned = await self.client.spawn(task.__name__, params, queue=QUEUE)
        return spawned["task_id"]

    async def count(self, state: str) -> int:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            found = await connection.execute(f"SELECT count(*) FROM absurd.t_{QUEUE} WHERE state = %s", (state,))
            row = await found.fetchone()
        assert row is not None
        return int(row[0])

    async def until(self, state: str, runs: int) -> None:
        while await self.count(state) < runs:
            await asyncio.sleep(0.05)


async def until_finished(runs: int) -> None:
    while finished < runs:
        await asyncio.sleep(0.002)


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def measure_w1(process: Process, runs: int) -> None:
    await process.work()
    began = time.perf_counter()
    for order in range(runs):
        await process.spawn(many_steps, order=order, steps=STEPS_A_RUN)
    await until_finished(runs)
    await process.until("completed", runs)
    say(value=runs * STEPS_A_RUN / (time.perf_counter() - began))


async def measure_w2(process: Process, steps: int) -> None:
    await process.work()
    await process.spawn(many_steps, order=1, steps=steps)
    await until_finished(1)
    say(value=median(after - before for before, after in itertools.pairwise(step_times)) * 1000)


async def measure_w2_empty(process: Process, runs: int) -> None:
    await process.work()
    took = []
    for order in range(runs):
        began = time.perf_counter()
        await process.client.await_task_result(await process.spawn(empty, order=order))
        took.append(time.perf_counter() - began)
    say(value=median(took) * 1000)


async def measure_w3(process: Process, runs: int) -> None:
    await process.work()
    for order in range(runs):
        await process.spawn(wait_for_go, order=order)
    await process.until("sleeping", runs)
    began = time.perf_counter()
    for order in range(runs):
        await process.client.emit_event(f"go:{order}")
    await until_finished(runs)
    await process.until("completed", runs)
    say(value=runs / (time.perf_counter() - began))


async def become_sleepers(process: Process, runs: int) -> None:
    await process.work()
    for order in range(runs):
        await process.spawn(sleeper, order=order)
    await process.until("sleeping", runs)
    say(ready=True)
    await asyncio.Event().wait()


async def be_idle(process: Process, _runs: int) -> None:
    """Sleepers are rows, so there is nothing to take over before it is what it will be."""
    await process.work()
    await asyncio.sleep(IDLE_SECONDS)
    say(ready=True)
    await asyncio.to_thread(sys.stdin.readline)


async def become_victim(process: Process, runs: int) -> None:
    for order in range(runs):
        await process.spawn(interrupted, order=order)
    await process.work()
    while hanging < runs:
        await asyncio.sleep(0.01)
    say(ready=True)
    await asyncio.Event().wait()


async def become_heir(process: Process, runs: int) -> None:
    say(ready=True)
    await asyncio.to_thread(sys.stdin.readline)
    await process.work()
    await process.until("completed", runs)
    say(done=True)


async def become_historian(process: Process, steps: int) -> None:
    await process.work()
    await process.spawn(long_history, order=1, steps=steps)
    await process.until("sleeping", 1)
    say(ready=True)
    await asyncio.Event().wait()


async def measure_replay(process: Process, _steps: int) -> None:
    await process.work()
    await asyncio.sleep(0.5)
    began = time.perf_counter()
    await process.client.emit_event("go:1")
    await until_finished(1)
    say(value=time.perf_counter() - began)


async def work_quietly(process: Process, _size: int) -> None:
    await process.work()
    say(ready=True)
    await asyncio.to_thread(sys.stdin.readline)
    say(delays=delays)


async def hand_in(process: Process, runs: int) -> None:
    for order in range(runs):
        await asyncio.sleep(0.07 + 0.001 * (order * 37 % 61))  # not in step with anybody's poll
        await process.spawn(note_pickup, began=time.monotonic())
    await process.until("completed", runs)
    say(done=True)


async def hand_in_crowd(process: Process, runs: int) -> None:
    began = time.perf_counter()
    for order in range(runs):
        await process.spawn(many_steps, order=order, steps=STEPS_A_RUN)
    await process.until("completed", runs)
    say(value=runs * STEPS_A_RUN / (time.perf_counter() - began))


async def install(process: Process, _size: int) -> None:
    import absurdctl

    async with await psycopg.AsyncConnection.connect(process.url, autocommit=True) as connection:
        await connection.execute(absurdctl.BUNDLED_SCHEMA_SQL)
        await connection.execute("SELECT absurd.create_queue(%s)", (QUEUE,))
    say(done=True)


ROLES: dict[str, Callable[[Process, int], Awaitable[None]]] = {
    "install": install,
    "w1": measure_w1,
    "w2": measure_w2,
    "w2-empty": measure_w2_empty,
    "w3": measure_w3,
    "w4-sleepers": become_sleepers,
    "w4-idle": be_idle,
    "w5-victim": become_victim,
    "w5-heir": become_heir,
    "w6-historian": become_historian,
    "w6": measure_replay,
    "worker": work_quietly,
    "client": hand_in,
    "crowd": hand_in_crowd,
}


async def main() -> None:
    global is_victim
    role, url, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    is_victim = role == "w5-victim"
    await ROLES[role](Process(url), size)
    sys.stdout.flush()
    os._exit(0)  # nothing is to be tidied: the next trial has a database of its own


if __name__ == "__main__":
    asyncio.run(main())
