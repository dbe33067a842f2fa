"""The code without its old way, for when no run is under way any more that began with it."""

from __future__ import annotations

import keepstep
from keepstep import workflow

from .steps import check_fraud, reserve_goods, send_goods


@workflow
async def sell(order: str, pieces: int) -> list[str]:
    """Check, reserve, wait for the money, send."""
    keepstep.deprecate_patch("check-fraud")
    honest = await check_fraud(order)
    reserved = await reserve_goods(order, pieces)
    await keepstep.receive("paid")
    return [f"honest: {honest}", await send_goods(reserved)]
