"""Driver: an APSW connection with the face of ``sqlite3.Connection``, as far as the store looks at it.

The store under torture is the real one. Only the library below it is another build of SQLite, because Python's own
``sqlite3`` lets nobody put a file system under it. Errors come as ``sqlite3`` raises them, with ``sqlite_errorcode``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import apsw

_CLASSES: dict[int, type[sqlite3.Error]] = {
    apsw.SQLITE_CONSTRAINT: sqlite3.IntegrityError,
    apsw.SQLITE_CORRUPT: sqlite3.DatabaseError,
    apsw.SQLITE_NOTADB: sqlite3.DatabaseError,
    apsw.SQLITE_TOOBIG: sqlite3.DataError,
    apsw.SQLITE_MISUSE: sqlite3.InterfaceError,
    apsw.SQLITE_INTERNAL: sqlite3.InternalError,
}
"""As ``sqlite3`` chooses them; everything else is an ``OperationalError``."""


def translate(error: apsw.Error) -> sqlite3.Error:
    """The error that ``sqlite3`` would have raised."""
    result = getattr(error, "result", 0)
    translated = _CLASSES.get(result, sqlite3.OperationalError)(str(error))
    translated.sqlite_errorcode = getattr(error, "extendedresult", result)
    return translated


class DriverCursor:
    """The rows of one statement, all of them fetched."""

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = iter(rows)
        self.rowcount = rowcount

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


class DriverConnection:
    """See the module."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.apsw = connection
        self.failures = 0
        """Statements that failed."""

    def execute(self, statement: str, parameters: Any = ()) -> DriverCursor:
        try:
            rows = self.apsw.execute(statement, parameters or None).fetchall()
        except apsw.Error as error:
            self.failures += 1
            raise translate(error) from error
        return DriverCursor(rows, self.apsw.changes())

    def executescript(self, script: str) -> DriverCursor:
        return self.execute(script)

    @property
    def in_transaction(self) -> bool:
        return self.apsw.in_transaction

    def close(self) -> None:
        """As ``sqlite3`` does: SQLite closes whatever goes wrong with its last checkpoint, and does not tell."""
        try:
            self.apsw.close(force=True)
        except apsw.Error:
            """APSW passes on what the file system below has raised meanwhile; the connection is closed."""
