"""asyncio inside a workflow behaves as people expect, and makes the same history every time."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keepstep
from keepstep import Engine, step, workflow
from tests.runtime.programs import on_an_engine

name_of = contextvars.ContextVar("name_of", default="nobody")


@step
async def give(n: int) -> int:
    return n


@step
async def give_after(n: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return n


@step(retry=keepstep.Retry(max_attempts=1))
async def fail(text: str) -> None:
    raise ValueError(text)


async def count_to(n: int) -> Any:
    for i in range(n):
        yield await give(i)


@workflow
async def use_asyncio() -> dict[str, Any]:
    seen: dict[str, Any] = {}
    seen["gather"] = await asyncio.gather(give(1), give(2), asyncio.sleep(1, "slept"))
    errors = await asyncio.gather(fail("a"), give(3), return_exceptions=True)
    seen["gather errors"] = [type(errors[0]).__name__, errors[1]]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(give_after(n, 3 - n)) for n in range(3)]
    seen["group"] = [task.result() for task in tasks]
    seen["failing group"] = await failing_group()
    seen["timeout"] = await timing_out()
    done, pending = await asyncio.wait(
        [asyncio.create_task(give_after(n, n * 10)) for n in range(1, 4)], return_when=asyncio.FIRST_COMPLETED
    )
    seen["wait"] = [len(done), len(pending), [task.result() for task in done]]
    for task in pending:
        task.cancel()
    seen["as completed"] = [await each for each in asyncio.as_completed([give_after(1, 5), give_after(2, 1)])]
    seen["shield"] = await shielded()
    seen["queue"] = await through_a_queue()
    seen["lock"] = await under_a_lock()
    seen["generator"] = [n async for n in count_to(3)]
    async for n in count_to(10):
        if n == 1:
            break
    seen["context"] = await with_context()
    seen["event"] = await with_an_event()
    return seen


async def failing_group() -> str:
    cancelled: list[int] = []

    async def wait_long(n: int) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(n)
            raise

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_long(1))
            group.create_task(wait_long(2))
            group.create_task(fail("group"))
    except ExceptionGroup as errors:
        return f"{len(errors.exceptions)} failed, cancelled {sorted(cancelled)}"
    return "nothing failed"


async def timing_out() -> list[str]:
    said = []
    try:
        async with asyncio.timeout(2):
            await give_after(1, 100)
    except TimeoutError:
        said.append("timeout")
    try:
        await asyncio.wait_for(give_after(1, 100), 2)
    except TimeoutError:
        said.append("wait_for")
    said.append(str(await asyncio.wait_for(give(5), 2)))
    return said


async def shielded() -> int:
    inner = asyncio.ensure_future(give_after(7, 5))
    try:
        await asyncio.wait_for(asyncio.shield(inner), 1)
    except TimeoutError:
        return await inner
    return 0


async def through_a_queue() -> list[int]:
    queue: asyncio.Queue[int | None] = asyncio.Queue(maxsize=1)

    async def produce() -> None:
        for n in range(4):
            await queue.put(await give(n))
        await queue.put(None)

    producer = asyncio.create_task(produce())
    got = []
    while (item := await queue.get()) is not None:
        got.append(item)
    await producer
    return got


async def under_a_lock() -> list[str]:
    lock, order = asyncio.Lock(), list[str]()

    async def work(who: str, seconds: float) -> None:
        async with lock:
            order.append(f"{who} in")
            await asyncio.sleep(seconds)
            order.append(f"{who} out")

    await asyncio.gather(work("a", 2), work("b", 1))
    return order


async def with_context() -> list[str]:
    name_of.set("outer")

    async def inner() -> str:
        before = name_of.get()
        name_of.set("inner")
        await give(1)
        return before + name_of.get()

    return [await asyncio.create_task(inner()), name_of.get()]


async def with_an_event() -> str:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(5, event.set)
    began = keepstep.now()
    await event.wait()
    return f"{(keepstep.now() - began).total_seconds():.0f} s"


EXPECTED = {
    "gather": [1, 2, "slept"],
    "gather errors": ["StepFailed", 3],
    "group": [0, 1, 2],
    "failing group": "1 failed, cancelled [1, 2]",
    "timeout": ["timeout", "wait_for", "5"],
    "wait": [1, 2, [1]],
    "as completed": [2, 1],
    "shield": 7,
    "queue": [0, 1, 2, 3],
    "lock": ["a in", "a out", "b in", "b out"],
    "generator": [0, 1, 2],
    "context": ["outerinner", "outer"],
    "event": "5 s",
}


async def seen_and_keys(engine: Engine) -> tuple[dict[str, Any], list[tuple[str, str | None]]]:
    seen = await engine.run(use_asyncio, id="r")
    return seen, [(event.type, event.key) async for event in engine.get("r").history()]


def test_what_people_use_of_asyncio_is_durable_and_means_what_it_means_elsewhere() -> None:
    seen, _ = on_an_engine(seen_and_keys)
    assert seen == EXPECTED


def test_every_process_makes_the_same_keys_in_the_same_order_whatever_its_hash_seed() -> None:
    program = (
        "from tests.runtime.test_loop import *\nfor line in on_an_engine(seen_and_keys)[1]: print(*line, sep=chr(9))\n"
    )
    root = Path(__file__).parents[2]
    histories = set()
    for seed in ("0", "1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=root, capture_output=True, text=True, check=True
        )
        histories.add(ran.stdout)
    assert len(histories) == 1
    assert "use_asyncio" not in histories.pop()


@workflow
async def use_ambient() -> list[Any]:
    first = keepstep.now()
    await keepstep.sleep("36h")
    return [
        (keepstep.now() - first).total_seconds(),
        str(keepstep.uuid4()),
        keepstep.random().random(),
        keepstep.info().workflow_id,
        keepstep.now().tzinfo is not None,
    ]


def test_time_and_chance_belong_to_the_run() -> None:
    async def program(engine: Engine) -> list[Any]:
        return [await engine.run(use_ambient, id="a"), await engine.run(use_ambient, id="b")]

    one, other = on_an_engine(program)
    assert 36 * 3600 <= one[0] < 36 * 3600 + 2
    assert one[1] != other[1]
    assert one[2] != other[2]
    assert (one[3], one[4]) == ("a", True)
