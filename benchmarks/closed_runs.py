"""Fills a database with closed runs, by copying one real closed run in SQL.

Making a million runs through the engine would take minutes and prove nothing here: what W8 asks is what their rows and
index entries cost the runs that come after them. All columns are copied but the names, and the times are spread so
that the indexes look as they would after a month.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

_COLUMNS = "SELECT name FROM pragma_table_info('runs')"

_COPY_RUNS = """
WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < :count)
INSERT INTO runs ({columns}) SELECT {values} FROM number, runs AS model WHERE model.run = :model
"""

_COPY_EVENTS = """
INSERT INTO events (run, seq, type, time, key, data)
SELECT runs.run, model.seq, model.type, runs.started_at, model.key, model.data
FROM runs, events AS model WHERE model.run = :model AND runs.run > :model ORDER BY runs.run, model.seq
"""

_CHANGED = {
    "run_id": "printf('%08x-0000-7000-8000-%012x', i, i)",
    "workflow_id": "printf('closed-order-%d', i)",
    "started_at": "model.started_at - (:count - i) * 2600000",
    "closed_at": "model.closed_at - (:count - i) * 2600000",
}


def copy_closed_run(database: Path, count: int) -> None:
    """Add ``count`` copies of the newest closed run, with their events. No engine may have the database open."""
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")  # only the filling; the measured engine opens it anew with FULL
    model = db.execute("SELECT max(run) FROM runs WHERE closed_at > 0").fetchone()[0]
    columns = [name for (name,) in db.execute(_COLUMNS) if name != "run"]
    values = ", ".join(_CHANGED.get(name, f"model.{name}") for name in columns)
    db.execute("BEGIN IMMEDIATE")
    db.execute(_COPY_RUNS.format(columns=", ".join(columns), values=values), {"count": count, "model": model})
    db.execute(_COPY_EVENTS, {"model": model})
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
