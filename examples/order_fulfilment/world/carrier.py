"""The carrier: sells labels and sends a van, promptly, or when reminded, or never."""

from __future__ import annotations

from .books import Books
from .later import Later
from .mischief import Fate, Mischief
from .plan import Plan
from .request import Answer, Asked, Department, nothing_to_do, refused
from .webhooks import Callback


class Carrier:
    """Labels, pickups, reminders and cancellations. A parcel is collected once or not at all."""

    def __init__(self, books: Books, mischief: Mischief, plan: Plan, later: Later, callback: Callback) -> None:
        self._books = books
        self._mischief = mischief
        self._plan = plan
        self._later = later
        self._callback = callback
        self._forgotten: dict[str, Asked] = {}

    def doors(self) -> dict[str, Department]:
        """What can be asked here."""
        return {
            "/carrier/labels": self.sell_label,
            "/carrier/voids": self.void_label,
            "/carrier/pickups": self.book_pickup,
            "/carrier/reminders": self.remind,
            "/carrier/cancellations": self.cancel_pickup,
        }

    def sell_label(self, asked: Asked) -> Answer:
        """Sells a label, unless the order's label was given back before it was sold."""
        if self._books.entries(asked.order, "label voided"):
            return refused("voided")
        self._books.enter(asked.order, "labelled")
        return Answer(201, {"label": f"PX-{asked.order}-{self._books.entries(asked.order, 'labelled')}"})

    def void_label(self, asked: Asked) -> Answer:
        """Takes a label back; too late once the parcel is on the van."""
        if self._books.entries(asked.order, "collected"):
            return refused("already_collected")
        if self._books.entries(asked.order, "label voided"):
            return nothing_to_do()
        self._books.enter(asked.order, "label voided")
        return Answer(200, {})

    def book_pickup(self, asked: Asked) -> Answer:
        """Promises to come."""
        self._books.enter(asked.order, "pickup booked", note=asked.label)
        if self._mischief.fate(asked.order) in (Fate.CARRIER_FORGETS, Fate.CARRIER_NEVER_COMES):
            self._forgotten[asked.order] = asked
        else:
            self._send_van(asked, self._plan.driving)
        return Answer(202, {})

    def remind(self, asked: Asked) -> Answer:
        """Hears that somebody still waits."""
        self._books.enter(asked.order, "carrier reminded")
        booked = self._forgotten.get(asked.order)
        if booked and self._mischief.fate(asked.order) is Fate.CARRIER_FORGETS:
            del self._forgotten[asked.order]
            self._send_van(booked, self._plan.driving_once_reminded)
        return Answer(200, {})

    def cancel_pickup(self, asked: Asked) -> Answer:
        """Calls the van off, and says whether it had come before."""
        if self._books.entries(asked.order, "collected"):
            return nothing_to_do(collected=True)
        if not self._books.entries(asked.order, "pickup cancelled"):
            self._books.enter(asked.order, "pickup cancelled")
        return Answer(200, {"collected": False})

    def _send_van(self, asked: Asked, span: tuple[float, float]) -> None:
        self._later(self._mischief.seconds(span, "van", asked.order), lambda: self._collect(asked))

    async def _collect(self, asked: Asked) -> None:
        with self._books.together():
            called_off = self._books.entries(asked.order, "pickup cancelled")
            if called_off or self._books.entries(asked.order, "label voided"):
                return
            if not self._books.entries(asked.order, "collected"):
                self._books.enter(asked.order, "collected", note=asked.label)
        await self._callback(asked.order, "parcel collected", asked.reply_to, {"van": _van(asked.order)})


def _van(order: str) -> str:
    return f"van {1 + sum(order.encode()) % 7}"
