"""Orders that say of themselves what they can be found by."""

from __future__ import annotations

from datetime import timedelta

import keepstep
from keepstep import workflow

DELIVERY = timedelta(days=3)


@workflow
async def fulfil_order(customer: str, items: list[str], amount: float) -> str:
    """Waits until it is paid, then until it is delivered."""
    due = keepstep.now() + DELIVERY
    keepstep.set_attributes(customer=customer, amount=amount, items=len(items), tags=sorted(set(items)), due=due)
    keepstep.set_attributes(stage="waiting for payment")
    await keepstep.receive("paid")
    keepstep.set_attributes(stage="waiting for delivery")
    await keepstep.receive("delivered")
    keepstep.set_attributes(stage=None)  # nobody has to look after it any more
    return "delivered"
