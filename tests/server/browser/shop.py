"""The workflows whose runs the browser looks at: one of each thing that a page has to show."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Any, Literal

import keepstep
from keepstep import Retry, saga, step, workflow

NEVER_SOON = Retry(max_attempts=5, initial="10m")


@step
async def pick_shelf_shown(item: str) -> str:
    return f"shelf of {item}"


@step
async def release_shelf_shown(shelf: str) -> None:
    pass


@step(retry=Retry(max_attempts=1))
async def charge_card_shown(amount: float) -> str:
    if amount > 1000:
        raise ValueError("the card was declined: over its limit")
    await asyncio.sleep(0)
    return "paid"


@step(retry=NEVER_SOON)
async def call_carrier_shown() -> None:
    raise ConnectionError("the carrier does not answer")


@step
async def number_shown(n: int) -> int:
    return n


@workflow
async def wrap_gift_shown(item: str) -> str:
    return f"wrapped {await pick_shelf_shown(item)}"


@workflow
async def sell_shown(customer: str, amount: float) -> dict[str, Any]:
    """Sells; of what costs too much it undoes what it did."""
    keepstep.set_attributes(customer=customer, amount=amount)
    async with saga() as undoing:
        shelf = await undoing.run(pick_shelf_shown, customer, undo=release_shelf_shown)
        paid = await charge_card_shown(amount)
    return {"shelf": shelf, "paid": paid, "gift": await wrap_gift_shown(customer)}


@workflow
async def approve_shown(subject: str) -> Any:
    keepstep.set_status(f"asking for {subject}")
    return await keepstep.receive("approval")


@workflow
async def ship_shown() -> None:
    await call_carrier_shown()


@workflow
async def remind_shown(days: int) -> str:
    await keepstep.sleep(f"{days}d")
    return "reminded"


@workflow
async def count_shown(to: int) -> int:
    for n in range(to):
        await number_shown(n)
    return to


@workflow
async def number_sold_shown(n: int) -> int:
    return n


BANK_ANSWERS = threading.Event()
"""Set when the bank is there again."""


@step(retry=Retry(max_attempts=1))
async def ask_bank_shown() -> str:
    if not BANK_ANSWERS.is_set():
        raise ConnectionError("the bank does not answer")
    return "settled"


@workflow
async def settle_shown() -> str:
    return await ask_bank_shown()


@workflow
async def deliver_shown(item: str) -> Any:
    shelf = await pick_shelf_shown(item)
    return [shelf, await keepstep.receive("go")]


@dataclass
class PickupShown:
    by: str
    boxes: int = 1


@workflow
async def collect_shown() -> PickupShown:
    return await keepstep.receive("picked", PickupShown)


class Wrapping(Enum):
    PAPER = "paper"
    SILK = "silk"


@dataclass
class LineShown:
    sku: str
    pieces: int = 1


@dataclass
class OrderShown:
    customer: str
    lines: list[LineShown]
    due: date | None = None
    wrapping: Wrapping = Wrapping.PAPER
    express: bool = False
    labels: dict[str, str] = field(default_factory=dict)


@workflow
class BasketShown:
    """A basket that things are put into, until it is sent off."""

    def __init__(self) -> None:
        self.order: OrderShown | None = None
        self.is_sent = False

    async def run(self, order: OrderShown, tip: float = 0.0) -> OrderShown:
        self.order = order
        await keepstep.wait_for(lambda: self.is_sent)
        return order

    @keepstep.signal
    async def send_off(self) -> None:
        self.is_sent = True

    @keepstep.signal
    async def relabel(self, labels: dict[str, str]) -> None:
        assert self.order is not None
        self.order.labels |= labels

    @keepstep.update
    async def put(self, line: LineShown, place: int | None = None, note: str | LineShown = "") -> int:
        """Puts one more thing into the basket."""
        assert self.order is not None
        self.order.lines.insert(len(self.order.lines) if place is None else place, line)
        return len(self.order.lines)

    @keepstep.query
    def contents(self, of: Literal["lines", "labels"] = "lines") -> Any:
        assert self.order is not None
        return self.order.lines if of == "lines" else self.order.labels


@step(once=True, timeout=0.05)
async def wire_money_shown(amount: float) -> OrderShown:
    await asyncio.Event().wait()
    raise AssertionError


@workflow
async def pay_out_shown(amount: float) -> str:
    return (await wire_money_shown(amount)).customer


@step
async def price_shown(item: str, pieces: int) -> dict[str, Any]:
    return {"item": item, "pieces": pieces, "total": 2.5 * pieces}


@step(retry=Retry(max_attempts=1))
async def book_shown(price: dict[str, Any]) -> str:
    if price["total"] > 100:
        raise ValueError(f"{price['total']} is too much")
    return f"{price['pieces']} × {price['item']} booked"


IS_DEPLOYED = threading.Event()
"""Set while the workflow below has other code."""


@workflow(guard=False)
async def book_all_shown(items: list[str], pieces: int) -> list[str]:
    if IS_DEPLOYED.is_set():
        await pick_shelf_shown("something new")

    async def book(item: str) -> str:
        return await book_shown(await price_shown(item, pieces))

    booked = await asyncio.gather(*map(book, items))
    await number_shown(len(booked))
    return booked


@workflow
async def grow_up_shown(n: int) -> int:
    return n


@workflow
async def raise_children_shown(children: int) -> int:
    """Has children side by side, more than a page of them has room for."""
    grown = await asyncio.gather(*(grow_up_shown(n) for n in range(children)))
    return sum(grown)
