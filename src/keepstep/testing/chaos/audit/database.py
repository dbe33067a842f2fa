"""Database: it is whole, and nothing is owned, leased or left to do.

It is read with plain SQLite or ``psycopg``, without the engine: the round's own, and those that openers made and may
have been killed in.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keepstep.client.address import sqlite_path
from keepstep.testing.chaos.home import is_postgres, split_schema, url_beside

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
        "SELECT count(*) FROM (SELECT run FROM events GROUP BY run HAVING min(seq) <> 1 OR max(seq) <> count(*)) AS odd"
    ),
    "runs without events": "SELECT count(*) FROM (SELECT run FROM runs EXCEPT SELECT run FROM events) AS odd",
    "runs that are gone, and their events are not": (
        "SELECT count(*) FROM (SELECT run FROM events EXCEPT SELECT run FROM runs) AS odd"
    ),
}


class Reader(ABC):
    """One journal, read without the engine."""

    log_gaps: str
    """How many positions of the log are nobody's."""

    @abstractmethod
    def rows(self, question: str) -> list[tuple[Any, ...]]:
        """The answer."""

    @abstractmethod
    def damage(self) -> str:
        """What is broken in its files or indexes; "" for nothing."""

    @abstractmethod
    def others(self, case: Case) -> list[str]:
        """The names of those that openers made, or began to make."""

    @abstractmethod
    def close(self) -> None: ...


class SqliteReader(Reader):
    log_gaps = "SELECT coalesce(max(n), 0) - count(*) FROM events"

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        return self._db.execute(question).fetchall()

    def damage(self) -> str:
        found = [row[0] for row in self.rows("PRAGMA integrity_check")]
        return "" if found == ["ok"] else str(found[:3])

    def others(self, case: Case) -> list[str]:
        return sorted(made.stem for made in case.folder.glob("new-*.db"))

    def close(self) -> None:
        self._db.close()


class PostgresReader(Reader):
    log_gaps = """
        SELECT coalesce(sum(gap), 0) FROM (
            SELECT first_n - coalesce(lag(first_n + events) OVER (PARTITION BY shard ORDER BY first_n), 1) AS gap
            FROM log
        ) AS steps
    """

    def __init__(self, url: str) -> None:
        import psycopg

        place, schema = split_schema(url)
        self._connection = psycopg.connect(place, autocommit=True)
        self._connection.execute(f"SET search_path = {schema}, public".encode())

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(question).fetchall()

    def damage(self) -> str:
        """Every index holds every row of its table, once and in order."""
        import psycopg

        try:
            self._connection.execute("CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA public")
            self.rows(_CHECK_INDEXES)
        except psycopg.Error as error:
            return str(error)
        return ""

    def others(self, case: Case) -> list[str]:
        rows = self.rows("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'new_') ORDER BY 1")
        return [name for (name,) in rows]

    def close(self) -> None:
        self._connection.close()


_CHECK_INDEXES = """
    SELECT bt_index_parent_check(c.oid, true, true) FROM pg_class c
    JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree'
    WHERE c.relkind = 'i' AND c.relnamespace = current_schema()::regnamespace
"""


def open_reader(url: str) -> Reader:
    return PostgresReader(url) if is_postgres(url) else SqliteReader(sqlite_path(url))


def check_database(case: Case) -> Iterator[str]:
    reader = open_reader(case.url)
    yield from _check_whole("the database", reader)
    for what, question in {**NOTHING_LEFT, **WHOLE, "gaps in the log": reader.log_gaps}.items():
        ((count,),) = reader.rows(question)
        if count:
            yield f"{count} {what} at the end"
    others = reader.others(case)
    reader.close()
    for name in others:
        made = open_reader(url_beside(case.url, case.folder, name))
        yield from _check_whole(name, made)
        made.close()
    for line in case.facts["started anew"]:
        yield from _check_new(case, *line.facts)


def _check_whole(what: str, reader: Reader) -> Iterator[str]:
    damage = reader.damage()
    if damage:
        yield f"{what} is damaged: {damage}"


def _check_new(case: Case, name: str, run_id: str) -> Iterator[str]:
    reader = open_reader(url_beside(case.url, case.folder, name))
    rows = reader.rows(f"SELECT run_id FROM runs WHERE workflow_id = '{name}'")
    reader.close()
    if rows != [(run_id,)]:
        yield f"the start of {name} was acknowledged as {run_id}, and the new database has {rows}"
