"""The workflow of the transactional kill loop: every step moves money between two accounts of the same file."""

from __future__ import annotations

import os
import time

import keepstep
from keepstep import Connection, Retry, step, workflow

HOLD_SECONDS = 0.004
"""How long a step keeps its transaction open, so that kills fall into it."""

TABLES = """
CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER NOT NULL);
CREATE TABLE transfers (run INTEGER NOT NULL, n INTEGER NOT NULL, attempt INTEGER NOT NULL, pid INTEGER NOT NULL);
INSERT INTO accounts VALUES ('mine', 0), ('yours', 0);
"""


class Declined(Exception):
    """The first attempt of some transfers fails when half of it is done."""


@step(transaction=True, retry=Retry(max_attempts=3, initial=0.01))
def transfer_in_a_transaction(db: Connection, run: int, n: int) -> int:
    """Returns what was moved in this run so far."""
    attempt = keepstep.step_info().attempt
    db.execute("UPDATE accounts SET balance = balance - 1 WHERE name = 'mine'")
    time.sleep(HOLD_SECONDS)
    if attempt == 1 and (run + n) % 5 == 0:
        raise Declined
    db.execute("UPDATE accounts SET balance = balance + 1 WHERE name = 'yours'")
    db.execute("INSERT INTO transfers VALUES (?, ?, ?, ?)", (run, n, attempt, os.getpid()))
    (moved,) = db.execute("SELECT count(*) FROM transfers WHERE run = ?", (run,)).fetchone()
    return int(moved)


@workflow
async def transfer_step_by_step(run: int, steps: int) -> list[int]:
    return [await transfer_in_a_transaction(run, n) for n in range(steps)]
