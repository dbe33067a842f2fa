"""Watchers: many pages that are open, each of them told what changes by server-sent events."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import quantiles
from typing import NamedTuple

from keepstep import Engine

from .connection import Connection
from .server import Server

TOLD_SECONDS_MAX = 10.0
PAUSE_SECONDS = 0.5
"""Between two changes: a watcher is told four times a second at most."""


class Told(NamedTuple):
    """From the commit's acknowledgement until a watcher had read of the change; of all watchers and changes."""

    p50: float
    p99: float
    longest: float
    bytes_each: float
    """Of the server's memory."""
    cpu_seconds_each: float
    """Of the server, to tell one watcher of one change."""


async def measure_watchers(server: Server, url: str, count: int, changes: int) -> Told:
    """``count`` watchers, and so many changes by another process than the server, one after another."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop, delays, spent = asyncio.get_running_loop(), list[float](), 0.0
    before = server.memory_bytes()
    async with Engine(url, workers=False) as engine, _watching(server.port, count) as watchers:
        for number in range(changes):
            cpu = server.cpu_seconds()
            id = f"seen-{number}"
            hearing = [asyncio.create_task(_hear(each, id.encode())) for each in watchers]
            await engine.start("ship", number, id=id)
            committed = loop.time()
            async with asyncio.timeout(TOLD_SECONDS_MAX):
                delays += [max(heard - committed, 0.0) for heard in await asyncio.gather(*hearing)]
            spent += server.cpu_seconds() - cpu
            await asyncio.sleep(PAUSE_SECONDS)
        memory = server.memory_bytes() - before
    cuts = quantiles(delays, n=100)
    return Told(cuts[49], cuts[98], max(delays), memory / count, spent / changes / count)


@asynccontextmanager
async def _watching(port: int, count: int) -> AsyncIterator[list[Connection]]:
    """Connections on which the first words of the server have come."""
    async with AsyncExitStack() as closing:
        watchers = list[Connection]()
        for _ in range(count):
            watcher = await closing.enter_async_context(await Connection.open(port))
            watcher.say("GET", "/api/v1/changes")
            watchers.append(watcher)
        for watcher in watchers:
            head = await watcher.reader.readuntil(b"retry: 1000")
            assert head.startswith(b"HTTP/1.1 200"), head
        yield watchers


async def _hear(watcher: Connection, id: bytes) -> float:
    """When it was told of that run."""
    while id not in await watcher.reader.readuntil(b"\n"):
        """Other lines of events are other news."""
    return asyncio.get_running_loop().time()
