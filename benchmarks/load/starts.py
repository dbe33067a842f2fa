"""Starts: runs begun over HTTP, as fast as it goes and at a steady pace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from statistics import quantiles

from .connection import Connection
from .reads import Rate
from .server import Server

CALLERS = 64
NUMBERS = count()


async def measure_starts(server: Server, starts: int) -> Rate:
    """By many callers at once; commits that arrive together share a flush."""
    await _start(server, iter(range(starts // 10)))
    loop = asyncio.get_running_loop()
    cpu, began = server.cpu_seconds(), loop.time()
    await _start(server, iter(range(starts)))
    return Rate(starts / (server.cpu_seconds() - cpu), starts / (loop.time() - began))


async def _start(server: Server, numbers: Iterator[int]) -> None:
    async def call() -> None:
        async with await Connection.open(server.port) as connection:
            for _ in numbers:
                await _start_one(connection)

    await asyncio.gather(*(call() for _ in range(CALLERS)))


async def _start_one(connection: Connection) -> None:
    number = next(NUMBERS)
    body = {"type": "ship", "input": [number], "id": f"begun-{number}"}
    await connection.ask("POST", "/api/v1/runs", json.dumps(body).encode())


async def measure_pace(server: Server, per_second: float, seconds: float) -> float:
    """The 99th percentile of a start's time, in seconds, when so many come in a second whatever becomes of them."""
    loop, times = asyncio.get_running_loop(), list[float]()
    idle = list[Connection]()

    async def start(due: float) -> None:
        kept = idle.pop() if idle else None
        connection = kept if kept is not None and kept.is_open else await Connection.open(server.port)
        await _start_one(connection)
        times.append(loop.time() - due)
        idle.append(connection)

    began, asked = loop.time(), set[asyncio.Task[None]]()
    for number in range(round(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(due - loop.time(), 0))
        asked.add(asyncio.create_task(start(due)))
    await asyncio.gather(*asked)
    for connection in idle:
        await connection.__aexit__()
    return quantiles(times, n=100)[98]
