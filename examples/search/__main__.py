"""Starts a few orders, moves some of them on, and finds them again, on a database that it makes if it is missing."""

from __future__ import annotations

import asyncio
import sys

from keepstep import Engine, FilterError

from .orders import fulfil_order

ORDERS = (
    ("order-1", "ann", ["lamp"], 39.5),
    ("order-2", "ben", ["teapot", "cup", "cup"], 61.0),
    ("order-3", "ann", ["teapot"], 45.0),
    ("order-4", "cleo", ["lamp", "teapot"], 84.5),
)

FILTERS = (
    "WorkflowType = 'fulfil_order' AND Status = 'running' AND customer = 'ann' ORDER BY WorkflowId",
    "amount > 40 AND tags = 'teapot' ORDER BY amount DESC",
    "stage = 'waiting for delivery' AND due < NOW + '7d'",
    "Status = 'completed' OR items BETWEEN 2 AND 3 ORDER BY WorkflowId",
    "custmer = 'ann'",
)


async def serve_customers(engine: Engine) -> None:
    """All have ordered, two have paid, and one of these has its order."""
    await engine.attributes.register(items="int")
    handles = [await engine.start(fulfil_order, *order, id=id) for id, *order in ORDERS]
    await handles[1].signal("paid")
    await handles[3].signal("paid")
    await handles[3].signal("delivered")
    await handles[3].result()
    while await engine.count("stage = 'waiting for payment'") != 2:
        await asyncio.sleep(0.01)


async def find(engine: Engine, filter: str) -> str:
    try:
        return ", ".join([run.id async for run in engine.list(filter)])
    except FilterError as error:
        return f"no field, at position {error.position}"


async def read_pages(engine: Engine, filter: str) -> list[str]:
    """As a web server would: each page by what it handed out with the one before."""
    runs, cursor = await engine.page(filter, limit=2)
    pages = [", ".join(run.id for run in runs)]
    while cursor is not None:
        runs, cursor = await engine.page(filter, cursor, limit=2)
        pages.append(", ".join(run.id for run in runs))
    return pages


async def main(url: str) -> None:
    async with Engine(url) as engine:
        await serve_customers(engine)
        for filter in FILTERS:
            print(f"{filter}: {await find(engine, filter)}")
        print(f"by customer: {await engine.count_by('customer')}")
        print(f"by pages: {' | '.join(await read_pages(engine, 'amount > 40 ORDER BY amount DESC'))}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "memory:"))
