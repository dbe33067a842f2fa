"""What the shop does with an order, as plain functions: no callbacks, no await, and nothing is lost in a crash."""

from __future__ import annotations

from dataclasses import dataclass

from keepstep import Outcome, sync

STOCK = {"teapot": 3, "cup": 12}
"""The warehouse. A real one is somebody else's database."""


@dataclass
class Order:
    """What a customer wants."""

    item: str
    count: int
    email: str


class SoldOut(Exception):
    """The warehouse has not got so many."""


@sync.step(retry=sync.Retry(non_retryable=(SoldOut,)))
def reserve(order: Order) -> int:
    """Take the goods off the shelf; what they cost, in cents. Blocking calls are welcome in steps."""
    if STOCK.get(order.item, 0) < order.count:
        raise SoldOut(f"we have no {order.count} of {order.item}")
    STOCK[order.item] -= order.count
    return 250 * order.count


@sync.step
def put_back(order: Order, outcome: Outcome) -> None:
    """Undo ``reserve``, if it took anything."""
    if not outcome.failed:
        STOCK[order.item] += order.count


@sync.step
def ship(order: Order, receipt: str) -> str:
    """Hand the parcel over; its number."""
    return f"parcel-{receipt}"


@sync.step
def send_mail(to: str, text: str) -> None:
    """Any mail library will do."""


@sync.workflow
class Sale:
    """One order, from the click to the parcel. It may take days, and holds no thread meanwhile."""

    def __init__(self) -> None:
        self.state = "reserving"

    def run(self, order: Order) -> str:
        with sync.saga() as saga:
            cents = saga.run(reserve, order, undo=put_back)
            self.state = f"waiting for {cents} cents"
            receipt = sync.receive("paid", str, timeout="2d")
            self.state = "paid"
            parcel, mail = ship.start(order, receipt), send_mail.start(order.email, f"Thank you: {receipt}")
            sync.gather(mail)
            self.state = f"shipped as {parcel.result()}"
        return self.state

    @sync.query
    def progress(self) -> str:
        return self.state
