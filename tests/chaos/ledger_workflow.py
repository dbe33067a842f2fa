"""The workflow of the kill loop: every step appends a line to a file and then takes its time to return."""

from __future__ import annotations

import asyncio
import os
import time

import keepstep
from keepstep import step, workflow

LEDGER = os.environ.get("KEEPSTEP_TEST_LEDGER", "")

STEP_SECONDS = 0.15


@step
async def write_line(run: int, n: int, previous: str) -> str:
    """Returns a receipt of this very execution; the line says who wrote it, when, and which receipt it was given."""
    execution = os.urandom(4).hex()
    write_to_ledger(f"{run} {n} {execution} {previous} {os.getpid()} {time.monotonic():.6f}\n")
    await asyncio.sleep(STEP_SECONDS)
    return execution


def write_to_ledger(line: str) -> None:
    with open(LEDGER, "a") as ledger:
        ledger.write(line)


@workflow
async def write_lines(run: int, steps: int) -> list[str]:
    """As many lines as asked, each after the one before, with a short durable wait in the middle."""
    receipts = ["start"]
    for n in range(steps):
        receipts.append(await write_line(run, n, receipts[-1]))
        if n == steps // 2:
            await keepstep.sleep(0.05)
    return receipts
