"""Deed: work on tables of the caller's own, done in the transaction of the commit that records it.

Stores whose database has room for such tables perform it themselves (SQLite: while it flushes), after they have checked
what the commit expects and before they write what it changes. So its changes are there if and only if the commit is. A
deed that raises is undone and its commit refused with ``DeedFailed``, which changes nothing and does not disturb what
travels with it.

It may be performed more than once, because a transaction may fail: all but the last time it has been undone.

Other stores give out a connection of its own for such work (``Transaction``), because there nobody else has to wait for
it; the commit that records it is made in that transaction when the work is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from .event import NewEvent

if TYPE_CHECKING:
    from .commit import Commit, Committed


class Cursor(Protocol):
    """The rows of a statement, as ``sqlite3.Cursor`` gives them."""

    @property
    def description(self) -> Any: ...
    @property
    def rowcount(self) -> int: ...
    @property
    def lastrowid(self) -> int | None: ...
    def fetchone(self) -> Any: ...
    def fetchmany(self, size: int | None = ...) -> list[Any]: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...
    def close(self) -> None: ...


class Connection(Protocol):
    """What a transactional step gets on SQLite: ``sqlite3.Connection``, as far as it is good for a step."""

    row_factory: Any

    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Any, /) -> Cursor: ...
    def cursor(self) -> Any: ...


class Deed(msgspec.Struct, kw_only=True):
    """See the module's docstring."""

    do: Callable[[Any], Sequence[NewEvent]]
    """Does the work with the connection that it is given, and says which events record it. Called on any thread."""
    seconds_max: float
    """How long it may take; it is interrupted then, and has failed with ``TransactionTooLong``."""
    failure: BaseException | None = None
    """Set by a store that must not try it again when the transaction is done again: it would fail again."""


class Transaction(Protocol):
    """An open transaction on a connection of its own. What is not committed when it is left, is rolled back."""

    @property
    def connection(self) -> Any:
        """The driver's connection, for the caller's own work."""
        ...

    async def commit(self, commit: Commit) -> Committed:
        """Make a commit part of the transaction, and end it.

        Raises what ``Journal.commit`` raises, and ``DeedFailed`` where the database refuses what was done in the
        transaction before. Cancelled, it comes to its end first.
        """
        ...
