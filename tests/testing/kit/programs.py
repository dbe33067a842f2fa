"""Steps and workflows that the kit is tested with."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from keepstep import Retry, query, receive, sleep, start_child, step, update, workflow

EFFECTS: list[str] = []
"""What the steps really did."""


@step
async def kit_charge(order: int, currency: str = "eur") -> str:
    EFFECTS.append(f"charged {order} {currency}")
    return f"receipt {order}"


@step
def kit_mail(receipt: str) -> None:
    EFFECTS.append(f"mailed {receipt}")


@step(transaction=True)
def kit_book(connection: object, receipt: str) -> int:
    raise AssertionError("there is no database in these tests")


@step(retry=Retry(max_attempts=1))
async def kit_stubborn() -> str:
    return "done"


@workflow
async def kit_order(order: int) -> str:
    receipt = await kit_charge(order)
    await sleep("30d")
    await kit_mail(receipt)
    return receipt


@workflow
async def kit_booking() -> int:
    return await kit_book("r")


@workflow
async def kit_stubbornly() -> str:
    return await kit_stubborn.options(timeout=5)()


MONTH = timedelta(days=30)


@workflow
class KitBasket:
    """Spoken to."""

    def __init__(self) -> None:
        self.things: list[str] = []

    async def run(self) -> list[str]:
        await receive("pay")
        return [await kit_wrap(each) for each in self.things]

    @update
    async def add(self, thing: str) -> int:
        self.things.append(thing)
        return len(self.things)

    @query
    def count(self) -> int:
        return len(self.things)


@step(queue="kit-wrapping")
def kit_wrap(thing: str) -> str:
    return f"wrapped {thing}"


@workflow
async def kit_family(children: int) -> int:
    handles = [await start_child(kit_child, each) for each in range(children)]
    return sum([await each for each in handles])


@workflow
async def kit_child(number: int) -> int:
    await sleep("1h")
    return number


@step
async def kit_dawdle() -> str:
    try:
        await asyncio.sleep(3600)
        EFFECTS.append("dawdled")
    finally:
        EFFECTS.append("left")
    return "late"


@workflow
async def kit_dawdler() -> str:
    return await kit_dawdle()
