"""What the server runs, and what its clients have the types of."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import keepstep
from keepstep import Retry, step, workflow


@dataclass(frozen=True)
class TeaOrder:
    tea: str
    grams: int


@dataclass(frozen=True)
class TeaReceipt:
    order: TeaOrder
    price: Decimal
    packed_by: str


class OutOfTea(Exception):
    pass


@step(retry=Retry(max_attempts=1))
async def price_tea(order: TeaOrder) -> Decimal:
    if order.tea == "silver needle":
        raise OutOfTea(f"there is no {order.tea}")
    return order.grams * Decimal("0.12")


@workflow
async def order_tea(order: TeaOrder) -> TeaReceipt:
    price = await price_tea(order)
    return TeaReceipt(order, price, await keepstep.receive("packed", str))
