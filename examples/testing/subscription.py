"""The workflow: a trial of two weeks, and then a payment every 30 days until the customer leaves."""

from __future__ import annotations

from keepstep import StepFailed, TimedOut, receive, step, workflow

PRICE_CENTS = 900


class CardDeclined(Exception):
    """The bank says no."""


@step
async def take_payment(customer: str, cents: int) -> str:
    """The payment's number at the provider."""
    raise ConnectionError("the payment provider can be reached from production only")


@step
def send_mail(customer: str, subject: str) -> None:
    """Tell the customer something."""
    raise ConnectionError("the mail server can be reached from production only")


@workflow
async def subscription(customer: str) -> int:
    """How many times the customer has paid."""
    payments = 0
    while await _stays(within="30d" if payments else "14d"):
        try:
            await take_payment(customer, PRICE_CENTS)
        except StepFailed:
            await send_mail(customer, "We could not charge your card, so your subscription has ended")
            return payments
        payments += 1
    await send_mail(customer, "Good-bye")
    return payments


async def _stays(within: str) -> bool:
    try:
        await receive("leave", timeout=within)
    except TimedOut:
        return True
    return False
