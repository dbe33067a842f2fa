"""DeedConnection: what a transactional step gets. A part of ``sqlite3.Connection`` that is good for rows, and ends.

It stands before the writer's own connection. Every call takes a lock and looks first: is the deed still allowed to do
anything, and does its transaction still exist? A statement with ``OR ROLLBACK`` ends it, and whatever came after would
be committed at once. When the deed is over, or its time is, ``end`` interrupts what is being executed, closes the
cursors that are left open (a statement that is not at its end would keep COMMIT from happening) and refuses everything
from then on, whichever thread it comes from.

No code of the caller's runs under the lock: rows of ``executemany`` are gathered before, row factories are applied
after.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar
from weakref import WeakSet

from keepstep.journal.errors import StatementRefused

from .guard import Guard

T = TypeVar("T")

INTERRUPT_EVERY_SECONDS = 0.01

MARK = "\n/* keepstep deed */"
"""Ends the text of every statement of a deed, so that it is not found in the cache as one of the store's."""

OVER = "the transaction of this step is over; its connection and cursors cannot be used any more"
LOST = (
    "a statement of this step has rolled back the whole transaction (OR ROLLBACK, RAISE(ROLLBACK)); nothing can follow"
)
BY_HAND = "the transaction of a step is committed together with its result; raise an error to roll it back"


class DeedConnection:
    """See the module. Implements ``keepstep.Connection``."""

    def __init__(self, db: sqlite3.Connection, guard: Guard) -> None:
        self._db = db
        self._guard = guard
        self._lock = threading.Lock()
        self._is_over = False
        self._cursors: WeakSet[DeedCursor] = WeakSet()
        self.row_factory: Any = None
        """As for ``sqlite3``: None for tuples, ``sqlite3.Row``, or a function of the cursor and the tuple."""

    @property
    def in_transaction(self) -> bool:
        return self._run(lambda: True)

    def cursor(self) -> DeedCursor:
        return self._run(self._cursor)

    def execute(self, sql: str, parameters: Any = (), /) -> DeedCursor:
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> DeedCursor:
        return self.cursor().executemany(sql, parameters)

    def executescript(self, _: str, /) -> NoReturn:
        raise StatementRefused("a transactional step executes its statements one by one: executescript would commit")

    def commit(self) -> NoReturn:
        raise StatementRefused(BY_HAND)

    def rollback(self) -> NoReturn:
        raise StatementRefused(BY_HAND)

    def __enter__(self) -> NoReturn:
        raise StatementRefused(BY_HAND)

    def __exit__(self, *_: object) -> None:
        """Never entered."""

    def _cursor(self) -> DeedCursor:
        made = DeedCursor(self, self._db.cursor(), self.row_factory)
        self._cursors.add(made)
        return made

    def _run(self, call: Callable[[], T]) -> T:
        """Let SQLite do something, if this deed may still do anything."""
        with self._lock:
            if self._is_over:
                raise StatementRefused(OVER)
            if not self._db.in_transaction:
                raise StatementRefused(LOST)
            guard = self._guard
            guard.is_up, guard.objection = True, ""
            try:
                return call()
            except sqlite3.Error:
                if guard.objection:
                    raise StatementRefused(f"a transactional step may not do this: {guard.objection}") from None
                raise
            finally:
                guard.is_up = False

    def end(self) -> None:
        """From now on nothing is done any more. Waits for what is being executed, and interrupts it."""
        self._is_over = True
        while not self._lock.acquire(timeout=INTERRUPT_EVERY_SECONDS):
            self._db.interrupt()
        try:
            for cursor in self._cursors:
                cursor._raw.close()
        finally:
            self._lock.release()


class DeedCursor:
    """A cursor of a ``DeedConnection``. Implements ``keepstep.Cursor``."""

    def __init__(self, connection: DeedConnection, raw: sqlite3.Cursor, row_factory: Any) -> None:
        self._run = connection._run
        self._raw = raw
        self.arraysize = 1
        self._factory: Callable[[DeedCursor, Any], Any] | None = None
        if row_factory is sqlite3.Row:
            raw.row_factory = sqlite3.Row
        else:
            self._factory = row_factory

    @property
    def description(self) -> Any:
        return self._raw.description

    @property
    def rowcount(self) -> int:
        return self._raw.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._raw.lastrowid

    def execute(self, sql: str, parameters: Any = (), /) -> DeedCursor:
        values = _plain(parameters)
        self._run(lambda: self._raw.execute(sql + MARK, values))
        return self

    def executemany(self, sql: str, parameters: Any, /) -> DeedCursor:
        rows = [_plain(each) for each in parameters]
        self._run(lambda: self._raw.executemany(sql + MARK, rows))
        return self

    def fetchone(self) -> Any:
        row = self._run(self._raw.fetchone)
        return row if row is None else self._made(row)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        count = self.arraysize if size is None else size
        return [self._made(row) for row in self._run(lambda: self._raw.fetchmany(count))]

    def fetchall(self) -> list[Any]:
        return [self._made(row) for row in self._run(self._raw.fetchall)]

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def close(self) -> None:
        self._run(self._raw.close)

    def _made(self, row: Any) -> Any:
        return row if self._factory is None else self._factory(self, row)


def _plain(parameters: Any) -> Any:
    """Parameters of a type whose access runs nobody's code."""
    if type(parameters) in (tuple, list, dict):
        return parameters
    return dict(parameters) if hasattr(parameters, "keys") else tuple(parameters)
