"""Fence: keeps everybody from writing to a journal that is being moved, or was moved, to another store.

The fence is a row of ``meta`` that says where to, and triggers that refuse every change of the journal's tables. What
enforces it lies in the file itself, so that it costs an ordinary flush nothing, and stops whoever has the file open by
whatever version of Keepstep, and users' own connections (``outbox``), too. It goes up, and down, in one transaction.

Only a process's own row may still be taken away, because all processes do that when they leave.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from keepstep.journal.deciding.codes import json_text
from keepstep.journal.errors import Promoted
from keepstep.journal.moving import Departure, Stage

from . import statements as sql

NAME = "promoted"
"""Of the row in ``meta``."""

TABLES = (
    *("runs", "events", "state", "messages", "received", "timers", "tasks", "audit"),
    *("leases", "asks", "answers", "definitions", "queues", "cursors", "commit_ids"),
    *("attributes", "attribute_values"),
)


def read_departure(db: sqlite3.Connection) -> Departure | None:
    """Where the journal goes, or went; None where there is no fence."""
    row = db.execute(sql.READ_META, (NAME,)).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Departure)


def write_departure(db: sqlite3.Connection, departure: Departure) -> None:
    db.execute(sql.WRITE_META, (NAME, json_text(departure)))


def raise_fence(db: sqlite3.Connection, departure: Departure) -> None:
    """Inside a transaction."""
    write_departure(db, departure)
    for statement in _triggers():
        db.execute(statement)


def lower_fence(db: sqlite3.Connection) -> None:
    """Inside a transaction."""
    db.execute(sql.DELETE_META, (NAME,))
    for name in _names():
        db.execute(f"DROP TRIGGER IF EXISTS {name}")


def check_not_promoted(db: sqlite3.Connection, path: Path | str) -> None:
    """Raises ``Promoted``, which says where to go."""
    departure = read_departure(db)
    if departure is not None:
        raise Promoted(f"{path}: {_sentence(departure)}")


def refusal(db: sqlite3.Connection, error: BaseException) -> Promoted | None:
    """What to say if it is the fence that has refused."""
    if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        return None
    departure = read_departure(db)
    return None if departure is None else Promoted(_sentence(departure))


def _sentence(departure: Departure) -> str:
    if departure.stage is Stage.PROMOTED:
        return f"this journal was promoted to {departure.to}; open that one"
    return (
        f"this journal is being promoted to {departure.to}; open that one when `keepstep promote` has ended "
        "(run the same command again if it was stopped, or with --abort to stay here)"
    )


def _names() -> list[str]:
    return [f"keepstep_promoted_{table}_{verb}" for table, verb in _fenced()]


def _fenced() -> list[tuple[str, str]]:
    fenced = [(table, verb) for table in TABLES for verb in ("INSERT", "UPDATE", "DELETE")]
    return [*fenced, ("processes", "INSERT"), ("processes", "UPDATE")]


def _triggers() -> list[str]:
    return [
        f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {verb} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'this journal was promoted to another store'); END"
        for name, (table, verb) in zip(_names(), _fenced(), strict=True)
    ]
