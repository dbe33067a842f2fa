"""The physical limit: bare ``sqlite3`` with the same pragmas and payloads, and nothing of Keepstep."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from statistics import median

from .raw_store import PAYLOAD, raw_rows_per_second

RAW_SECONDS = 1.0
LONE_ROWS = 300


def group_committed_rows(folder: Path) -> float:
    """Rows a second in transactions as big as a group commit of many runs is."""
    return raw_rows_per_second(folder, RAW_SECONDS)


def lone_commit_milliseconds(folder: Path) -> float:
    """The median time of a transaction with one row, one after another."""
    db = sqlite3.connect(folder / "lone.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE events (n INTEGER PRIMARY KEY, run INTEGER, seq INTEGER, data BLOB)")
    took = []
    for seq in range(LONE_ROWS):
        began = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO events (run, seq, data) VALUES (1, ?, ?)", (seq, PAYLOAD))
        db.execute("COMMIT")
        took.append(time.perf_counter() - began)
    db.close()
    return median(took) * 1000
