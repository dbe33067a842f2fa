"""The workflows: a basket, and the delivery that it starts for each order."""

from __future__ import annotations

from dataclasses import dataclass

import keepstep
from keepstep import step, workflow


@dataclass
class Line:
    """So many of one thing."""

    item: str
    count: int


@step(name="basket.reserve")
async def reserve(item: str, count: int) -> int:
    """Ask the warehouse; the price of one, in cents."""
    return 100 * len(item)


@step(name="basket.hand_over")
async def hand_over(order: str, lines: list[Line]) -> str:
    """Give a parcel to the carrier."""
    return f"parcel of {order}, {sum(line.count for line in lines)} things"


@workflow
async def deliver(order: str, lines: list[Line]) -> str:
    """A child of the basket: goes on if the basket ends."""
    await keepstep.sleep("1h")
    parcel = await hand_over(order, lines)
    await keepstep.get_run(order.partition("/")[0]).signal(Basket.delivered, order)
    return parcel


@workflow
class Basket:
    """One customer's basket. Its id is the customer's."""

    def __init__(self, customer: str, orders: int = 0) -> None:
        self.orders = orders
        self.lines: list[Line] = []
        self.cents = 0
        self.on_their_way: set[str] = set()
        self.is_closed = False

    async def run(self, customer: str, orders: int = 0) -> int:
        """Until it is closed; how many orders there were in all."""
        while not self.is_closed:
            await keepstep.wait_for(lambda: self.is_closed or self.may_begin_anew())
            if not self.is_closed:
                keepstep.continue_as_new(customer, self.orders)
        return self.orders

    def may_begin_anew(self) -> bool:
        """The history has grown long, and nothing would be forgotten by beginning a new one."""
        is_long = keepstep.info().should_continue_as_new and keepstep.all_handlers_finished()
        return is_long and not self.lines and not self.on_their_way

    @keepstep.update
    async def add(self, line: Line) -> int:
        """Put something in; what all of it costs then, in cents."""
        price = await reserve(line.item, line.count)
        self.lines.append(line)
        self.cents += price * line.count
        return self.cents

    @add.validator
    def check_add(self, line: Line) -> None:
        if not 0 < line.count <= 100:
            raise ValueError(f"{line.count} of {line.item} is nothing that we sell")

    @keepstep.update
    async def order(self) -> str:
        """Order what is in it; the number of the order."""
        self.orders += 1
        order = f"{keepstep.info().workflow_id}/{self.orders}"
        lines, self.lines, self.cents = self.lines, [], 0
        self.on_their_way.add(order)
        await keepstep.start_child(deliver, order, lines, id=f"delivery-{order}", if_parent_closes="abandon")
        return order

    @order.validator
    def check_order(self) -> None:
        if not self.lines:
            raise ValueError("the basket is empty")

    @keepstep.signal
    def delivered(self, order: str) -> None:
        self.on_their_way.discard(order)

    @keepstep.signal
    def close(self) -> None:
        self.is_closed = True

    @keepstep.query
    def total(self) -> int:
        return self.cents

    @keepstep.query
    def open_orders(self) -> list[str]:
        return sorted(self.on_their_way)
