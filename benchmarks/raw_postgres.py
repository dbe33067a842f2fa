"""The limit of PostgreSQL: bare inserts by the driver with the payloads of a step, and nothing of Keepstep."""

from __future__ import annotations

import threading
import time
from statistics import median
from typing import Any

import psycopg

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
SELECT * FROM unnest(%b::bigint[], %b::int[], %b::text[], %b::bigint[], %b::text[], %b::bytea[])
"""

_INSERT_ONE = "INSERT INTO raw_events VALUES (1, %s, 'step_completed', 1800000000000000, 'main/charge_payment#1', %b)"


def group_committed_rows(url: str) -> float:
    """Rows a second: one statement of arrays for each transaction, as big as a group commit of many runs is."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"{RAW_TABLE}; TRUNCATE raw_events")
    rows: list[int] = []
    began = time.perf_counter()
    threads = [
        threading.Thread(target=_insert_until, args=(url, n * 1_000_000, began + RAW_SECONDS, rows))
        for n in range(1, 1 + CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rows) / (time.perf_counter() - began)


def _insert_until(url: str, base: int, until: float, rows: list[int]) -> None:
    runs = list(range(base, base + ROWS_A_TRANSACTION))
    seq = 0
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        while time.perf_counter() < until:
            seq += 1
            connection.execute(_INSERT_MANY, _columns(runs, seq))
    rows.append(seq * ROWS_A_TRANSACTION)


def _columns(runs: list[int], seq: int) -> tuple[list[Any], ...]:
    size = len(runs)
    key, time_ = f"main/charge_payment#{seq}", 1_800_000_000_000_000
    return runs, [seq] * size, ["step_completed"] * size, [time_] * size, [key] * size, [PAYLOAD] * size


def lone_commit_milliseconds(url: str) -> float:
    """The median time of a transaction with one row, one after another on one connection."""
    took = []
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        connection.execute(RAW_TABLE)
        for seq in range(LONE_ROWS):
            began = time.perf_counter()
            connection.execute(_INSERT_ONE, (seq, PAYLOAD))
            took.append(time.perf_counter() - began)
    return median(took) * 1000
