"""Parcels that are printed a label, and then wait for the van."""

from __future__ import annotations

import keepstep
from keepstep import Retry, step, workflow

BROKEN_PRINTERS: set[str] = set()
"""Depots whose printer does not print."""


@step(retry=Retry(max_attempts=1))
async def print_label(parcel: int, depot: str) -> str:
    if depot in BROKEN_PRINTERS:
        raise OSError(f"the printer of {depot} is out of paper")
    return f"{depot}-{parcel}"


@workflow
async def send_parcel(parcel: int, depot: str) -> str:
    """Waits at its depot, is told to go by another one, and leaves when the van comes."""
    keepstep.set_attributes(depot=depot)
    label = await print_label(parcel, depot)
    while (order := await keepstep.receive("order", str)) != "leave":
        keepstep.set_attributes(depot=order)
        label = await print_label(parcel, order)
    return label
