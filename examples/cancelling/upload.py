"""A step whose end is waited for when it is cancelled."""

from __future__ import annotations

import asyncio

import keepstep
from keepstep import Outcome, step, workflow

shelf: dict[str, int] = {}
"""What is stored outside: parts of files."""


@step(on_cancel="wait", timeout="1h")
async def upload_parts(file: str, parts: int) -> int:
    """Told to end, it takes back the part that it is at, which takes a while, and says how many there are."""
    for part in range(parts):
        shelf[file] = part + 1
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
            shelf[file] = part
            return part
    return parts


@step
async def remove_parts(file: str, _: int, outcome: Outcome) -> str:
    """Since the end was waited for, it is known what there is to be removed."""
    shelf[file] -= outcome.result
    return f"{outcome.status}: {outcome.result} parts removed"


@workflow
async def store_file(file: str, parts: int) -> str:
    try:
        async with asyncio.timeout(2.5), keepstep.saga() as saga:
            stored = await saga.run(upload_parts, file, parts, undo=remove_parts)
    except TimeoutError:
        return f"{file} was too large"
    return f"{file} has {stored} parts"
