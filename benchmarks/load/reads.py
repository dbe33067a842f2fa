"""Reads: the query of the list page, as the web UI asks it, by many callers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

from .connection import Connection
from .server import Server

PAGE = 100
"""Runs of a page, as the web UI asks for."""

CALLERS = 32

Filters = Callable[[int], str]
"""What the nth question asks for."""

FOUR = ("", "Status = 'running'", "WorkflowType = 'ship'", "WorkflowType = 'fulfil' AND Status = 'completed'")


def same_page(number: int) -> str:
    """What the page of all runs asks for."""
    return ""


def one_of_four(number: int) -> str:
    """One of four."""
    return FOUR[number % len(FOUR)]


def each_another(number: int) -> str:
    """One that nobody else asks for at the same time."""
    return f"WorkflowId != 'nobody-{number}'"


class Rate(NamedTuple):
    """``per_cpu_second``: what one core does, however busy the machine is otherwise."""

    per_cpu_second: float
    per_second: float


async def measure_reads(server: Server, count: int, filters: Filters) -> Rate:
    """Ask so often, after a few times that warm up."""
    await _read(server, count // 10, filters)
    loop = asyncio.get_running_loop()
    cpu, began = server.cpu_seconds(), loop.time()
    await _read(server, count, filters)
    return Rate(count / (server.cpu_seconds() - cpu), count / (loop.time() - began))


async def _read(server: Server, count: int, filters: Filters) -> None:
    numbers = iter(range(count))

    async def call() -> None:
        async with await Connection.open(server.port) as connection:
            for number in numbers:
                filter = quote(filters(number))
                answer = await connection.ask("GET", f"/api/v1/runs?limit={PAGE}&filter={filter}")
                assert answer.startswith(b'{"runs":[{'), answer[:200]

    await asyncio.gather(*(call() for _ in range(CALLERS)))
