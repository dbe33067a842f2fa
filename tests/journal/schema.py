"""A PostgreSQL schema with a journal in it that nobody has used: made once, and made as new again for the next test.

Making the tables costs far more than most tests do with them. After a test all rows are deleted, what the journal had
when it was new is put back, and its sequences begin where they began. A schema in which a test has made, dropped or
guarded something is dropped.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import psycopg
from psycopg import sql

_numbers = itertools.count(1)

_unused: dict[str, list[Schema]] = {}
_sessions: dict[str, psycopg.Connection[Any]] = {}
"""Of each server; they end with this process."""

_SHAPE = """
SELECT relkind::text || ' ' || relname FROM pg_class WHERE relnamespace = %(schema)s::regnamespace UNION ALL
SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace UNION ALL
SELECT 'trigger ' || tgname || ' ' || relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = %(schema)s::regnamespace ORDER BY 1
"""


class Schema:
    """See the module. ``remember`` says that it is new; after ``renew`` it is again."""

    def __init__(self, server_url: str) -> None:
        self.name = f"scene_{os.getpid()}_{next(_numbers)}"
        self.is_made = False
        self._server_url = server_url
        self._shape: list[str] = []
        self._again = b""
        """What makes its contents new."""

    def remember(self) -> None:
        """It holds what it is to hold whenever it is new."""
        db = _session(self._server_url)
        self._shape = self._look(db)
        tables = [line[2:] for line in self._shape if line[0] in "rp"]
        parts = {name for (name,) in db.execute("SELECT relname FROM pg_class WHERE relispartition")}
        names = [sql.Identifier(self.name, table) for table in tables if table not in parts]
        statements = [sql.SQL("DELETE FROM {};").format(name) for name in names]
        for name in names:
            rows = db.execute(sql.SQL("SELECT * FROM {}").format(name)).fetchall()
            statements += [
                sql.SQL("INSERT INTO {} VALUES ({});").format(name, sql.SQL(", ").join(map(sql.Literal, row)))
                for row in rows
            ]
        for sequence in (sql.Identifier(self.name, line[2:]) for line in self._shape if line.startswith("S ")):
            [state] = db.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(sequence))
            arguments = (sql.Literal(value) for value in (sequence.as_string(db), *state))
            statements.append(sql.SQL("SELECT setval({}, {}, {});").format(*arguments))
        self._again = sql.Composed(statements).as_bytes(db)
        self.is_made = True

    def renew(self) -> None:
        """Nobody uses it any more: the next who wants one may have it."""
        db = _session(self._server_url)
        if self.is_made and self._look(db) == self._shape:
            with db.transaction():
                db.execute(self._again)
            _unused.setdefault(self._server_url, []).append(self)
        else:
            db.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self.name)))

    def _look(self, db: psycopg.Connection[Any]) -> list[str]:
        return [line for (line,) in db.execute(_SHAPE, {"schema": self.name})]


def take_schema(server_url: str) -> Schema:
    """One that is new, or is to be made."""
    unused = _unused.get(server_url)
    return unused.pop() if unused else Schema(server_url)


def _session(server_url: str) -> psycopg.Connection[Any]:
    if server_url not in _sessions:
        _sessions[server_url] = psycopg.connect(server_url, autocommit=True)
    return _sessions[server_url]
