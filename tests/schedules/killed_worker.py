"""A worker of its own process, for tests that kill it: ``python -m tests.schedules.killed_worker URL``."""

from __future__ import annotations

import asyncio
import sys

from keepstep import Engine, workflow


@workflow
async def fire_where_a_worker_is_killed(n: int) -> int:
    return n


async def serve(url: str) -> None:
    async with Engine(url, lease_seconds=2.0):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
