"""Guard: which statements a deed may execute on the connection of the writer.

SQLite asks an authorizer while it prepares a statement. Only what reads and writes the caller's own tables is allowed;
everything else is refused, with a word on why. Triggers and views are asked about by what they do.

The guard is *up* only while a deed's statement is being prepared or executed, and lets the store's own pass otherwise.
A statement stays allowed for as long as it is cached, so a deed's statements must never have the text of one of the
store's: see ``connection``.
"""

from __future__ import annotations

import sqlite3

READING_PRAGMAS = frozenset(
    ("table_info", "table_xinfo", "index_list", "index_info", "index_xinfo", "foreign_key_list")
)

OWN_SAVEPOINTS = "keepstep"
"""What the names of the store's own savepoints begin with."""

_WORDS = {
    sqlite3.SQLITE_TRANSACTION: (
        "its transaction is committed together with the step's result, and rolled back by raising an error"
    ),
    sqlite3.SQLITE_ATTACH: "another database would not be committed together with the step's result",
    sqlite3.SQLITE_DETACH: "the connection stays as it is",
    sqlite3.SQLITE_PRAGMA: "the connection stays as it is",
}
_OTHERWISE = "it may read and write rows of your own tables, and nothing else; change tables by a migration before"

_SCHEMAS = frozenset(("sqlite_master", "sqlite_temp_master"))
"""Protected by SQLite itself; what would change them in another way is asked about as what it is."""

_ON_TABLES = frozenset((sqlite3.SQLITE_READ, sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE))
_ALWAYS_FINE = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE))


class Guard:
    """The authorizer. ``own_tables`` are the store's."""

    def __init__(self, own_tables: frozenset[str]) -> None:
        self._own_tables = own_tables
        self.is_up = False
        self.objection = ""
        """What was wrong with the last statement, if something was."""

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, trigger: str | None
    ) -> int:
        if not self.is_up:
            return sqlite3.SQLITE_OK
        why = self._objection(action, (first or "").lower(), (second or "").lower())
        if why is None:
            return sqlite3.SQLITE_OK
        self.objection = why if trigger is None else f"{why} (in {trigger})"
        return sqlite3.SQLITE_DENY

    def _objection(self, action: int, first: str, second: str) -> str | None:
        if action in _ON_TABLES:
            return self._objection_to_table(action, first)
        if action in _ALWAYS_FINE:
            return None
        if action == sqlite3.SQLITE_FUNCTION:
            return "it may load nothing" if second == "load_extension" else None
        if action == sqlite3.SQLITE_SAVEPOINT:
            return f"{second!r} is a savepoint of Keepstep's" if second.startswith(OWN_SAVEPOINTS) else None
        if action == sqlite3.SQLITE_PRAGMA and first in READING_PRAGMAS:
            return None
        return _WORDS.get(action, _OTHERWISE)

    def _objection_to_table(self, action: int, table: str) -> str | None:
        if table in self._own_tables:
            return f"table {table!r} is Keepstep's own; give yours another name"
        if action != sqlite3.SQLITE_READ and table.startswith("sqlite_") and table not in _SCHEMAS:
            return f"table {table!r} is SQLite's own"
        return None
