"""The warehouse: sets goods aside, puts them back, hands them out. There is less than everybody wants."""

from __future__ import annotations

from .books import Books
from .request import Answer, Asked, Department, nothing_to_do, refused


class Warehouse:
    """Moves goods between the shelf, the reserved corner and the door."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def doors(self) -> dict[str, Department]:
        """What can be asked here."""
        return {
            "/warehouse/reservations": self.reserve,
            "/warehouse/releases": self.release,
            "/warehouse/shipments": self.hand_out,
        }

    def reserve(self, asked: Asked) -> Answer:
        """Sets goods aside for an order, if there are enough and it was not called off meanwhile."""
        if self._books.entries(asked.order, "reservation called off"):
            return refused("called_off")
        if not self._books.take_from_shelf(asked.quantity):
            return refused("out_of_stock")
        self._books.enter(asked.order, "reserved", asked.quantity)
        return Answer(201, {"reserved": asked.quantity})

    def release(self, asked: Asked) -> Answer:
        """Puts back what is set aside; what was not set aside yet never will be."""
        held = self._held(asked.order)
        if held:
            self._books.put_on_shelf(held)
            self._books.enter(asked.order, "released", held)
            return Answer(200, {"released": held})
        if self._books.entries(asked.order, "reservation called off"):
            return nothing_to_do(released=0)
        self._books.enter(asked.order, "reservation called off")
        return Answer(200, {"released": 0})

    def hand_out(self, asked: Asked) -> Answer:
        """Hands out what is set aside."""
        held = self._held(asked.order)
        if not held:
            return nothing_to_do(shipped=0)
        self._books.enter(asked.order, "shipped", held)
        return Answer(200, {"shipped": held})

    def _held(self, order: str) -> int:
        gone = self._books.quantity(order, "released") + self._books.quantity(order, "shipped")
        return self._books.quantity(order, "reserved") - gone
