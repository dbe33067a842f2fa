"""A run that only waits costs no task, no thread and no coroutine, and wakes when something happens to it."""

from __future__ import annotations

import asyncio
import gc
import threading
import types
from pathlib import Path
from typing import Any

import keepstep
from keepstep import Engine, step, workflow
from keepstep.runtime.execution import Execution
from keepstep.runtime.loop import WorkflowLoop, WorkflowTask
from tests.runtime.programs import on_an_engine

RUNS = 500
LEFT_MAX = 200
"""Those of the idle cache, and alarms that have not been swept out."""
unwound: list[str] = []


@step
async def say_awake(n: int) -> int:
    return n


@workflow
async def sleep_long(n: int) -> int:
    """Has a little of everything that could stay behind."""
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def beside() -> None:
        await queue.get()

    async def numbers() -> Any:
        yield 1
        await keepstep.receive("never")
        yield 2

    async def iterate() -> None:
        async for _ in numbers():
            pass

    tasks = [asyncio.create_task(beside()), asyncio.create_task(iterate())]
    try:
        async with asyncio.timeout(60):
            await keepstep.receive("wake")
    except TimeoutError:
        n = -n
    finally:
        unwound.append("finally")
        n = await say_awake(n)
        unwound.append("durable")
    for task in tasks:
        task.cancel()
    return n


def left_behind() -> dict[str, int]:
    """What of runs is still in memory."""
    gc.collect()
    kinds = (Execution, WorkflowLoop, WorkflowTask)
    found = {kind.__name__: sum(isinstance(each, kind) for each in gc.get_objects()) for kind in kinds}
    found["coroutines"] = sum(
        isinstance(each, types.CoroutineType) and each.__qualname__.startswith("sleep_long")
        for each in gc.get_objects()
    )
    return found


async def until_shown_waiting(engine: Engine, count: int) -> None:
    while await engine.journal.count_runs("default", conditions=["waiting"]) < count:  # type: ignore[list-item]
        await asyncio.sleep(1)


def test_runs_that_wait_leave_memory_and_wake_by_signal_or_by_time() -> None:
    async def program(engine: Engine) -> None:
        unwound.clear()
        before, tasks, threads = left_behind(), len(asyncio.all_tasks()), len(threading.enumerate())
        handles = [await engine.start(sleep_long, n, id=str(n)) for n in range(RUNS)]
        await until_shown_waiting(engine, RUNS)
        for kind, count in left_behind().items():
            assert count - before[kind] <= LEFT_MAX, kind
        assert len(asyncio.all_tasks()) <= tasks + 1
        assert len(threading.enumerate()) <= threads + 1
        assert unwound.count("finally") >= RUNS - 5
        assert "durable" not in unwound
        events = [event.type async for event in engine.get("0").history()]
        assert "step_completed" not in events
        for n in range(0, RUNS, 2):
            await handles[n].signal("wake")
        results = await asyncio.gather(*(handle.result() for handle in handles))
        assert results == [n if n % 2 == 0 else -n for n in range(RUNS)]
        assert unwound.count("durable") == RUNS
        del handles, results
        await asyncio.sleep(2)  # the worker looks at what it may have to show twice a second
        for kind, count in left_behind().items():
            assert count - before[kind] <= LEFT_MAX, kind

    on_an_engine(program, idle_runs_max=5, lease_seconds=6000)


async def test_the_same_holds_on_sqlite(tmp_path: Path) -> None:
    unwound.clear()
    async with Engine(f"sqlite:///{tmp_path / 'runs.db'}", idle_runs_max=5) as engine, asyncio.timeout(60):
        handles = [await engine.start(sleep_long, n, id=str(n)) for n in range(100)]
        await until_shown_waiting(engine, 95)
        assert unwound.count("durable") == 0
        for handle in handles:
            await handle.signal("wake")
        assert await asyncio.gather(*(handle.result() for handle in handles)) == list(range(100))


@workflow
async def wait_with_a_limit_far_away() -> None:
    await keepstep.receive("wake", timeout="30d")


def test_a_limit_far_away_keeps_no_run_in_memory_that_has_ended_before() -> None:
    async def program(engine: Engine) -> None:
        for n in range(RUNS):
            handle = await engine.start(wait_with_a_limit_far_away, id=str(n))
            await handle.signal("wake")
            await handle.result()
        await asyncio.sleep(2)
        assert left_behind()["Execution"] <= LEFT_MAX

    on_an_engine(program)
