"""The limit of PostgreSQL: bare inserts with the payloads of a step, and nothing of Keepstep."""

from __future__ import annotations

import asyncio
import time
from statistics import median

import asyncpg

from .raw_store import PAYLOAD, ROWS_A_TRANSACTION

CONNECTIONS = 2
"""More are not faster with the server on the same two cores."""

RAW_SECONDS = 2.0
LONE_ROWS = 300

RAW_TABLE = """
CREATE TABLE IF NOT EXISTS raw_events (
    run bigint, seq int, type text, time bigint, key text, data bytea, PRIMARY KEY (run, seq)
)
"""

_INSERT_MANY = """
INSERT INTO raw_events (run, seq, type, time, key, data)
SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bigint[], $5::text[], $6::bytea[])
"""

_INSERT_ONE = "INSERT INTO raw_events VALUES (1, $1, 'step_completed', 1800000000000000, 'main/charge_payment#1', $2)"


async def group_committed_rows(url: str) -> float:
    """Rows a second: one statement of arrays for each transaction, as big as a group commit of many runs is."""
    connections = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]
    await connections[0].execute(f"{RAW_TABLE}; TRUNCATE raw_events")
    began = time.perf_counter()
    rows = await asyncio.gather(
        *(_insert_until(each, n * 1_000_000, began + RAW_SECONDS) for n, each in enumerate(connections, 1))
    )
    rate = sum(rows) / (time.perf_counter() - began)
    for each in connections:
        await each.close()
    return rate


async def _insert_until(connection: asyncpg.Connection, base: int, until: float) -> int:
    statement = await connection.prepare(_INSERT_MANY)
    runs = list(range(base, base + ROWS_A_TRANSACTION))
    seq = 0
    while time.perf_counter() < until:
        seq += 1
        size = ROWS_A_TRANSACTION
        await statement.fetch(
            runs, [seq] * size, ["step_completed"] * size, [1_800_000_000_000_000] * size,
            [f"main/charge_payment#{seq}"] * size, [PAYLOAD] * size,
        )  # fmt: skip
    return seq * ROWS_A_TRANSACTION


async def lone_commit_milliseconds(url: str) -> float:
    """The median time of a transaction with one row, one after another on one connection."""
    connection = await asyncpg.connect(url)
    await connection.execute(RAW_TABLE)
    statement = await connection.prepare(_INSERT_ONE)
    took = []
    for seq in range(LONE_ROWS):
        began = time.perf_counter()
        await statement.fetch(seq, PAYLOAD)
        took.append(time.perf_counter() - began)
    await connection.close()
    return median(took) * 1000
