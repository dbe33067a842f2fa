"""What the process talks about: orders, what others answer, and how long to wait for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class Order:
    """A purchase of CDs."""

    id: str
    customer: str
    placed_on: date
    quantity: int
    amount: Decimal


@dataclass(frozen=True)
class Patience:
    """How long the process waits for others, in seconds. Business people would say days; the demo says seconds."""

    payment: float = 3600.0
    picking: float = 2 * 86_400.0
    reminder: float = 1 * 86_400.0
    cancellation: float = 3 * 86_400.0


IN_DAYS = Patience()


@dataclass(frozen=True)
class PaymentVerdict:
    """What the payment gateway's webhook says, some time after it was asked."""

    approved: bool
    reason: str = ""


@dataclass(frozen=True)
class Label:
    """A shipping label."""

    number: str


@dataclass(frozen=True)
class Picked:
    """What the person who fetched the item from the shelf says."""

    by: str


@dataclass(frozen=True)
class Collected:
    """What the carrier's webhook says when the parcel is on its van."""

    van: str


@dataclass(frozen=True)
class Receipt:
    """What a fulfilled order ends with."""

    order: str
    label: str
    picked_by: str
    van: str


class CardDeclined(Exception):
    """The bank said no: nothing was charged."""


class OutOfStock(Exception):
    """The warehouse has not enough left, and asking again does not bring it back."""


class NotCollected(Exception):
    """The carrier did not come, not even after the reminder."""


class AlreadyCollected(Exception):
    """The parcel has left: its label cannot be voided any more, a person must look at it."""
