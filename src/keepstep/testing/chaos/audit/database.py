"""Database: the files are whole, and nothing is owned, leased or left to do.

They are read with plain SQLite, without the engine: its own, and those that openers made and may have been killed in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from keepstep.client.address import sqlite_path

from .case import Case

NOTHING_LEFT = {
    "leases": "SELECT count(*) FROM leases",
    "runs with an owner": "SELECT count(*) FROM runs WHERE owner IS NOT NULL",
    "open runs": "SELECT count(*) FROM runs WHERE status = 0",
    "tasks": "SELECT count(*) FROM tasks",
    "timers": "SELECT count(*) FROM timers",
}

WHOLE = {
    "runs whose events are not numbered from 1 without a gap": (
        "SELECT count(*) FROM (SELECT run FROM events GROUP BY run HAVING min(seq) <> 1 OR max(seq) <> count(*))"
    ),
    "gaps in the log": "SELECT coalesce(max(n), 0) - count(*) FROM events",
    "runs without events": "SELECT count(*) FROM runs WHERE run NOT IN (SELECT run FROM events)",
    "events without a run": "SELECT count(*) FROM events WHERE run NOT IN (SELECT run FROM runs)",
}


def check_database(case: Case) -> Iterator[str]:
    path = sqlite_path(case.url)
    yield from _check_file(path)
    with closing(sqlite3.connect(path)) as db:
        for what, question in {**NOTHING_LEFT, **WHOLE}.items():
            (count,) = db.execute(question).fetchone()
            if count:
                yield f"{path}: {count} {what} at the end"
    for made in sorted(case.folder.glob("new-*.db")):
        yield from _check_file(made)
    for line in case.facts["started anew"]:
        yield from _check_new(case.folder, *line.facts)


def _check_file(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as db:
        found = [row[0] for row in db.execute("PRAGMA integrity_check")]
    if found != ["ok"]:
        yield f"{path} is damaged: {found[:3]}"


def _check_new(folder: Path, name: str, run_id: str) -> Iterator[str]:
    with closing(sqlite3.connect(folder / f"{name}.db")) as db:
        rows = db.execute("SELECT run_id FROM runs WHERE workflow_id = ?", (name,)).fetchall()
    if rows != [(run_id,)]:
        yield f"the start of {name} was acknowledged as {run_id}, and the new database has {rows}"
