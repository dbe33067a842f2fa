"""What all versions of the code do in the outside world."""

from __future__ import annotations

from keepstep import step


@step
async def reserve_goods(order: str, pieces: int) -> str:
    """Put them aside."""
    return f"{pieces} pieces for {order}"


@step
async def check_fraud(order: str) -> bool:
    """New in the second version."""
    return not order.startswith("stolen")


@step
async def send_goods(reserved: str) -> str:
    """Give them to the carrier."""
    return f"sent {reserved}"
