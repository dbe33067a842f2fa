"""The steps: each one asks the outside world for one thing.

A step may run more than once: after an error, a time-out, or a crash between the answer and its record. Its idempotency
key stays the same meanwhile, so the other side can tell a repeated request from a second one.
"""

from __future__ import annotations

from keepstep import Retry, step

from .model import AlreadyCollected, Label, Order, OutOfStock
from .outside import ask

FORWARD = Retry(max_attempts=5, initial=0.1, factor=2.0, max_interval=2.0, non_retryable=(OutOfStock,))
"""Going forward, giving up after a while is fine: the saga undoes what was done."""

PERSISTENT = Retry(max_attempts=None, initial=0.1, factor=2.0, max_interval=5.0, non_retryable=(AlreadyCollected,))
"""Undoing, and what cannot be taken back, must get through: for ever if need be."""

SECONDS_PER_ATTEMPT = 2.0


@step(retry=FORWARD, timeout=SECONDS_PER_ATTEMPT)
async def charge_payment(order: Order, reply_to: str) -> None:
    """Asks the gateway to charge the customer; its verdict goes to ``reply_to``."""
    await ask("/payments/charges", order, amount=str(order.amount), reply_to=reply_to)


@step(retry=PERSISTENT, timeout=SECONDS_PER_ATTEMPT)
async def refund_payment(order: Order, reply_to: str) -> None:
    """Gives the money back, or calls the charge off where it has not happened yet.

    A charge that timed out may well have happened; so this asks the gateway, which knows, and not the step's outcome.
    """
    await ask("/payments/refunds", order)


@step(retry=FORWARD, timeout=SECONDS_PER_ATTEMPT)
async def reserve_inventory(order: Order) -> None:
    """Sets the goods aside."""
    await ask("/warehouse/reservations", order, quantity=order.quantity)


@step(retry=PERSISTENT, timeout=SECONDS_PER_ATTEMPT)
async def release_inventory(order: Order) -> None:
    """Puts the goods back on the shelf."""
    await ask("/warehouse/releases", order)


@step(retry=PERSISTENT, timeout=SECONDS_PER_ATTEMPT)
async def hand_out_goods(order: Order) -> None:
    """Books the goods out: they have left the warehouse."""
    await ask("/warehouse/shipments", order)


@step(retry=FORWARD, timeout=SECONDS_PER_ATTEMPT)
async def create_label(order: Order) -> Label:
    """Buys a shipping label."""
    answer = await ask("/carrier/labels", order)
    return Label(answer["label"])


@step(retry=PERSISTENT, timeout=SECONDS_PER_ATTEMPT)
async def void_label(order: Order) -> None:
    """Gives the label back unused."""
    await ask("/carrier/voids", order)


@step(retry=FORWARD, timeout=SECONDS_PER_ATTEMPT)
async def send_confirmation(order: Order, label: Label) -> None:
    """Tells the customer that the parcel is ready."""
    await ask("/mailer/mails", order, to=order.customer, label=label.number)


@step(retry=PERSISTENT, timeout=SECONDS_PER_ATTEMPT)
async def book_pickup(order: Order, label: Label, reply_to: str) -> None:
    """Asks the carrier to come; the van's driver reports to ``reply_to``."""
    await ask("/carrier/pickups", order, label=label.number, reply_to=reply_to)


@step(retry=FORWARD, timeout=SECONDS_PER_ATTEMPT)
async def remind_carrier(order: Order, label: Label) -> None:
    """Asks the carrier where it is."""
    await ask("/carrier/reminders", order, label=label.number)


@step(retry=PERSISTENT, timeout=SECONDS_PER_ATTEMPT)
async def cancel_pickup(order: Order, label: Label) -> bool:
    """Tells the carrier not to come any more. False if it has already come."""
    answer = await ask("/carrier/cancellations", order, label=label.number)
    return not answer["collected"]
