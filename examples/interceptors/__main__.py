"""Sends goods for two tenants, on a database that it makes if it is missing."""

from __future__ import annotations

import asyncio
import sys

from keepstep import Engine, WorkflowFailed

from .tenants import INTERCEPTORS, TENANT, serve_order, told


async def serve_tenants(engine: Engine) -> list[str]:
    """What came of three requests, in words."""
    TENANT.set("ann")
    ann = await engine.start(serve_order, "tea", id="tea")
    TENANT.set("ben")
    ben = await engine.start(serve_order, "cup", id="cup")
    nothing = await engine.start(serve_order, "", id="nothing")
    said = [*await ann.result(), *await ben.result()]
    try:
        await nothing.result()
    except WorkflowFailed:
        said.append(told[-1])
    return said


async def main(url: str) -> None:
    async with Engine(url, interceptors=INTERCEPTORS, queues=("default", "warehouse")) as engine:
        for line in await serve_tenants(engine):
            print(line)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "memory:"))
