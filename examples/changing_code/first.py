"""The code as it was deployed first."""

from __future__ import annotations

import keepstep
from keepstep import workflow

from .steps import reserve_goods, send_goods


@workflow
async def sell(order: str, pieces: int) -> list[str]:
    """Reserve, wait for the money, send."""
    reserved = await reserve_goods(order, pieces)
    await keepstep.receive("paid")
    return [await send_goods(reserved)]
