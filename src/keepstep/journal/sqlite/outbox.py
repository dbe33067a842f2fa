"""SqliteOutbox: starts runs and sends messages by a connection of the user's, in the transaction that it has open.

The rules are the same as in a flush, decided on a picture of what this connection sees. SQLite lets only one
transaction write at a time, so what is decided holds until the user commits. It is done behind a savepoint: if that
fails, the user's transaction is as it was.

Nobody tells when the user commits. For a second it is looked whether the transaction is over; then the workers of this
process and the others get their hints. Whoever takes longer is found by the workers' own slow poll.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from keepstep.journal import size
from keepstep.journal.commit import NewRun, Started
from keepstep.journal.deciding import start
from keepstep.journal.deciding.news import News
from keepstep.journal.deciding.picture import Picture
from keepstep.journal.errors import Conflict, InvalidInput, Overloaded
from keepstep.journal.hint import Hint, HintKind
from keepstep.journal.message import NewMessage, Sent

from . import fence
from .connection import primary_code
from .tables import SqliteTables

T = TypeVar("T")

LOOK_SECONDS_FIRST, LOOK_SECONDS_MAX = 0.001, 0.05
LOOKS_MAX = 30
"""Between two looks at a transaction, and how many of them: about a second."""

TAKE_LOCK = "UPDATE meta SET value = value WHERE 0"
"""Changes nothing, and makes sure that the transaction may write."""

Tell = Callable[[Sequence[Hint], Sequence[HintKind]], None]


class SqliteOutbox:
    """See the module. Made by ``SqliteJournal.within``; ``tell`` tells this process hints, and others their kinds."""

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], int], tell: Tell) -> None:
        self._db = connection
        self._now = now
        self._tell = tell

    async def start(self, new: NewRun) -> Started:
        size.check_new_run(new)
        return self._do(lambda picture: start.start(picture, new))

    async def send(self, message: NewMessage) -> Sent:
        size.check_message(message)
        return self._do(lambda picture: start.send(picture, message))

    def _do(self, verb: Callable[[Picture], T]) -> T:
        with _plainly(self._db), _behind_savepoint(self._db):
            self._db.execute(TAKE_LOCK)
            picture = Picture(SqliteTables(self._db))
            picture.begin(self._now())
            outcome = verb(picture)
            picture.write()
        self._watch(picture.news)
        return outcome

    def _watch(self, news: News) -> None:
        """Tell the news when the transaction is over, whether it was committed or not."""
        loop = asyncio.get_running_loop()
        pauses = [min(LOOK_SECONDS_FIRST * 1.3**n, LOOK_SECONDS_MAX) for n in range(LOOKS_MAX)]

        def look() -> None:
            if _is_over(self._db):
                self._tell(news.hints(), news.kinds())
            elif pauses:
                loop.call_later(pauses.pop(0), look)

        loop.call_later(pauses.pop(0), look)


def check_connection(connection: Any, path: Path) -> sqlite3.Connection:
    """A connection in a transaction to that file. Raises ``InvalidInput`` for anything else."""
    if not isinstance(connection, sqlite3.Connection):
        raise InvalidInput(f"on SQLite connection= is a sqlite3.Connection, not {type(connection).__name__}")
    try:
        if not connection.in_transaction:
            _begin(connection)
        with _plainly(connection):
            place = next(file for _, name, file in connection.execute("PRAGMA database_list") if name == "main")
    except sqlite3.ProgrammingError as error:
        elsewhere = " (open it with check_same_thread=False)" if "same thread" in str(error) else ""
        raise InvalidInput(f"connection= cannot be used here: {error}{elsewhere}") from error
    if not place or not os.path.samefile(place, path):
        raise InvalidInput(f"connection= is open on {place or 'no file'}, and the journal is in {path}")
    return connection


def _begin(connection: sqlite3.Connection) -> None:
    """Begin a transaction as ``sqlite3`` does before an INSERT, where it does that."""
    if connection.isolation_level is None:
        raise InvalidInput(
            "connection= is not in a transaction, so that nothing could be rolled back; begin one: BEGIN IMMEDIATE"
        )
    with _explained():
        connection.execute("BEGIN IMMEDIATE")


@contextmanager
def _plainly(connection: sqlite3.Connection) -> Iterator[None]:
    """Rows and texts as the store wants them, whatever the user has made of the connection."""
    row_factory, text_factory = connection.row_factory, connection.text_factory
    connection.row_factory, connection.text_factory = None, str
    try:
        yield
    finally:
        connection.row_factory, connection.text_factory = row_factory, text_factory


@contextmanager
def _behind_savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    """What is raised within undoes what was done within."""
    connection.execute("SAVEPOINT keepstep_outbox")
    try:
        with _explained():
            yield
    except BaseException as error:
        refusal = fence.refusal(connection, error)
        if connection.in_transaction:
            connection.execute("ROLLBACK TO keepstep_outbox")
            connection.execute("RELEASE keepstep_outbox")
        if refusal is not None:
            raise refusal from error
        raise
    connection.execute("RELEASE keepstep_outbox")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY_SNAPSHOT:
            raise Conflict(
                "this transaction has read before others wrote, and cannot write any more; "
                "roll it back, and begin it anew with BEGIN IMMEDIATE"
            ) from error
        if primary_code(error) == sqlite3.SQLITE_BUSY:
            raise Overloaded(
                "others kept the database locked for longer than this connection waits; try again, or open it with a "
                "longer timeout="
            ) from error
        raise


def _is_over(connection: sqlite3.Connection) -> bool:
    try:
        return not connection.in_transaction
    except sqlite3.ProgrammingError:  # it was closed
        return True
