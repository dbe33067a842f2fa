"""Steps and workflows that the kit is tested with."""

from __future__ import annotations

from datetime import timedelta

from keepstep import Retry, sleep, step, workflow

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
