"""A program with a run that kills its worker, run as a process of its own: ``python poisonous.py URL``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import keepstep
from keepstep import Engine, step, workflow


@step
def do_harm(flag: str) -> str:
    if not Path(flag).exists():
        os._exit(9)
    return "no harm done"


@step
async def do_well(n: int) -> int:
    return n


@workflow
async def kill_the_worker(flag: str) -> str:
    return await do_harm(flag)


@workflow
async def behave(n: int) -> int:
    first = await do_well(n)
    await keepstep.sleep(0.2)
    return first + await do_well(n)


async def main(url: str) -> None:
    async with Engine(url, lease_seconds=1.0):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
