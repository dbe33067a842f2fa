"""The workflow of the transactional kill loop on PostgreSQL: steps, async and plain, move money out of accounts."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import psycopg

import keepstep
from keepstep import Retry, step, workflow
from tests.chaos.transactional_workflow import Declined

HOLD_SECONDS = 0.01

TABLES = """
CREATE TABLE accounts (name text PRIMARY KEY, balance int NOT NULL);
CREATE TABLE transfers (run int NOT NULL, n int NOT NULL, attempt int NOT NULL, pid int NOT NULL);
CREATE TABLE wanted (run int PRIMARY KEY);
INSERT INTO accounts SELECT 'mine-' || n, 0 FROM generate_series(0, 39) AS n;
"""

TAKE = "UPDATE accounts SET balance = balance - 1 WHERE name = %s"
NOTE = "INSERT INTO transfers VALUES (%s, %s, %s, %s)"
COUNT = "SELECT count(*) FROM transfers WHERE run = %s"


def _is_declined(run: int, n: int) -> bool:
    return keepstep.step_info().attempt == 1 and (run + n) % 5 == 0


@step(transaction=True, retry=Retry(max_attempts=3, initial=0.01))
async def transfer_on_postgres(db: psycopg.AsyncConnection[Any], run: int, n: int) -> int:
    """Returns what was moved in this run so far."""
    await db.execute(TAKE, (f"mine-{run}",))
    await asyncio.sleep(HOLD_SECONDS)
    if _is_declined(run, n):
        raise Declined
    await db.execute(NOTE, (run, n, keepstep.step_info().attempt, os.getpid()))
    row = await (await db.execute(COUNT, (run,))).fetchone()
    assert row is not None
    return int(row[0])


@step(transaction=True, retry=Retry(max_attempts=3, initial=0.01))
def transfer_plainly_on_postgres(db: psycopg.Connection[Any], run: int, n: int) -> int:
    db.execute(TAKE, (f"mine-{run}",))
    if _is_declined(run, n):
        raise Declined
    db.execute(NOTE, (run, n, keepstep.step_info().attempt, os.getpid()))
    row = db.execute(COUNT, (run,)).fetchone()
    assert row is not None
    return int(row[0])


@workflow
async def transfer_step_by_step_on_postgres(run: int, steps: int) -> list[int]:
    return [await (transfer_on_postgres if n % 2 else transfer_plainly_on_postgres)(run, n) for n in range(steps)]
