"""The same change, for new runs alone; those that are under way go on as they began."""

from __future__ import annotations

import keepstep
from keepstep import workflow

from .steps import check_fraud, reserve_goods, send_goods


@workflow
async def sell(order: str, pieces: int) -> list[str]:
    """Check if it is a new run, reserve, wait for the money, send."""
    told = []
    if keepstep.patched("check-fraud"):
        told.append(f"honest: {await check_fraud(order)}")
    reserved = await reserve_goods(order, pieces)
    await keepstep.receive("paid")
    return [*told, await send_goods(reserved)]
