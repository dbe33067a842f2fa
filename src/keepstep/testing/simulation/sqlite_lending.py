"""Lending: SQLite connections that go from one simulated process to the next, and from one seed to the next.

Most of what a short life on a SQLite file costs is getting ready for it: the schema is read and each statement prepared
anew, and then executed a few times. So a process that ends gives its connections back. What the next one gets is as new
in everything that a process can see: no transaction is open, nothing is enforced or authorized, and what SQLite has
cached it checks against the file by itself, as it does while several processes write. Whoever has given a connection
back, or has died with it, can do nothing with it any more.

``clear`` makes a file as it was at its creation, row for row. Where its pages lie is another thing, and nothing that a
simulation tells hangs on it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keepstep.journal.sqlite.connection import connect_reader, connect_writer

Execute = Callable[..., sqlite3.Cursor]


class LentConnection:
    """A ``sqlite3.Connection`` in the hands of one process, who closes it in the end."""

    def __init__(self, raw: sqlite3.Connection, take_back: Callable[[sqlite3.Connection], None]) -> None:
        self._raw: sqlite3.Connection | None = raw
        self._take_back = take_back
        self.execute: Execute = raw.execute

    def __getattr__(self, name: str) -> Any:
        """Everything but ``execute``, which is asked for most."""
        if self._raw is None:
            _refuse()
        return getattr(self._raw, name)

    def close(self) -> None:
        if self._raw is not None:
            raw, self._raw, self.execute = self._raw, None, _refuse
            self._take_back(raw)


def _refuse(*_: object) -> sqlite3.Cursor:
    raise sqlite3.ProgrammingError("Cannot operate on a closed database.")


class Lending:
    """The connections to one file. Those that nobody has wait for the next who wants one of their kind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writers: list[sqlite3.Connection] = []
        self._readers: list[sqlite3.Connection] = []

    def lend_writer(self) -> sqlite3.Connection:
        return self._writers.pop() if self._writers else connect_writer(self._path, "OFF")

    def take_back_writer(self, raw: sqlite3.Connection) -> None:
        """What transactional steps have set up on it (``keepstep.journal.sqlite.deeds``) goes."""
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.set_authorizer(None)
        self._writers.append(raw)

    def lend_reader(self) -> sqlite3.Connection:
        return self._readers.pop() if self._readers else connect_reader(self._path)

    def take_back_reader(self, raw: sqlite3.Connection) -> None:
        self._readers.append(raw)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for a look from outside."""
        raw = self.lend_reader()
        try:
            yield raw
        finally:
            self.take_back_reader(raw)

    def close(self) -> None:
        for raw in (*self._writers, *self._readers):
            raw.close()
        self._writers.clear()
        self._readers.clear()


Content = dict[str, list[tuple[Any, ...]]]
"""The rows of each table."""


def read_content(db: sqlite3.Connection) -> Content:
    """All that is in a database. ``sqlite_sequence`` is a table like others: it says which numbers were given out."""
    names = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    return {name: db.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names}


def restore_content(db: sqlite3.Connection, content: Content) -> None:
    """Make a database hold that and nothing else; its schema must be what it was."""
    db.execute("BEGIN IMMEDIATE")
    for name in content:
        db.execute(f"DELETE FROM {name}")
    for name, rows in content.items():
        for row in rows:
            db.execute(f"INSERT INTO {name} VALUES ({','.join('?' * len(row))})", row)
    db.execute("COMMIT")
