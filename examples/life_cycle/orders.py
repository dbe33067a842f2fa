"""Orders that end well, and one that does not."""

from __future__ import annotations

import keepstep
from keepstep import Retry, step, workflow


class CardDeclined(Exception):
    """The bank does not pay."""


@step(retry=Retry(non_retryable=(CardDeclined,)))
async def take_payment(customer: str, amount: float) -> str:
    if amount > 1000:
        raise CardDeclined(f"{amount:.2f} is too much for {customer}")
    return f"{customer} has paid {amount:.2f}"


@workflow
async def sell(customer: str, amount: float) -> str:
    keepstep.set_attributes(customer=customer)
    return await take_payment(customer, amount)
