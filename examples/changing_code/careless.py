"""A change that runs which are under way cannot go on with: they have reserved, and were never asked for a check."""

from __future__ import annotations

import keepstep
from keepstep import workflow

from .steps import check_fraud, reserve_goods, send_goods


@workflow
async def sell(order: str, pieces: int) -> list[str]:
    """Check, reserve, wait for the money, send."""
    honest = await check_fraud(order)
    reserved = await reserve_goods(order, pieces)
    await keepstep.receive("paid")
    return [f"honest: {honest}", await send_goods(reserved)]
