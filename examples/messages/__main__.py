"""Goes shopping once, on a database that it makes if it is missing."""

from __future__ import annotations

import asyncio
import sys

from keepstep import Engine, UpdateRejected

from .basket import Basket, Line


async def go_shopping(engine: Engine, customer: str) -> list[str]:
    """What a web application would do, request by request. What came of it, in words."""
    said = []
    cents = await engine.update_with_start(
        Basket, customer, id=customer, update=Basket.add, update_args=[Line("tea", 2)], update_id="click-1"
    )
    said.append(f"tea is in the basket: {cents} cents")
    basket = engine.get(customer)
    try:
        await basket.update(Basket.add, Line("elephant", 0))
    except UpdateRejected as error:
        said.append(str(error.__cause__))
    said.append(f"so far: {await basket.query(Basket.total)} cents")
    order = await basket.update(Basket.order, id="click-2")
    again = await basket.update(Basket.order, id="click-2")  # the browser repeats it
    said.append(f"ordered {order}, once: {again == order}")
    said.append(f"on the way: {await basket.query(Basket.open_orders)}")
    await basket.signal(Basket.close)
    said.append(f"orders in all: {await basket.result()}")
    said.append(f"and afterwards, from its history: {await basket.query('open_orders')}")
    return said


async def main(url: str) -> None:
    async with Engine(url) as engine:
        for line in await go_shopping(engine, "ann"):
            print(line)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "memory:"))
