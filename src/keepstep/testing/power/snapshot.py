"""Snapshot: what a database says, table by table, whatever its pages look like.

Left out is what an opening changes by itself: the list of processes, and the agreement about time between them.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Protocol


class Connection(Protocol):
    """Either driver's."""

    def execute(self, statement: str, /) -> Any: ...


Snapshot = dict[str, str]
"""A digest of the rows of each table."""

TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'processes' ORDER BY name"


def take_snapshot(db: Connection) -> Snapshot:
    """The rows come in the order of their keys, which is part of what a table says."""
    return {table: _digest(db, table) for (table,) in db.execute(TABLES).fetchall()}


def _digest(db: Connection, table: str) -> str:
    rows = db.execute(f'SELECT * FROM "{table}"').fetchall()
    if table == "meta":
        rows = [row for row in rows if row[0] != "clock"]
    return blake2b(repr(rows).encode(), digest_size=8).hexdigest()


def differing(one: Snapshot, other: Snapshot) -> list[str]:
    """The tables in which two snapshots differ."""
    return sorted(table for table in one.keys() | other.keys() if one.get(table) != other.get(table))
