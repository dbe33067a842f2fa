"""PostgresTransaction: a session of its own for work of the caller's, ended by the commit that records that work.

What the caller gets is the driver's connection, plain or async, within ``connection.transaction()``: the driver refuses
``commit()`` and ``rollback()``, and ``connection.transaction()`` makes savepoints. Whoever ends the transaction all the
same, by a statement, is found out, because it has another id then: nothing is recorded.

The commit is decided by the same rules as in a flush, on the tables as this transaction sees them, with the run's row
locked. So a worker that has lost the run commits nothing of its work either. Where the answer to COMMIT is lost nobody
needs to know it: whoever does the work anew expects the same next event, and is refused if it is there by then.

Sessions are used again, each time behind another object of the driver's, so that one that the caller has kept finds
itself closed. A session that was left by an error is closed: a thread may still be working with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager
from functools import cache
from typing import Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.errors import Diagnostic

from keepstep.journal.commit import Commit, Committed
from keepstep.journal.deciding import change
from keepstep.journal.deciding.picture import Picture, Wants
from keepstep.journal.errors import DeedFailed, StatementRefused, StoreUnavailable
from keepstep.journal.size import check_commit

from . import statements as sql
from .address import Address
from .connection import commit_something, joining, open_session, passing_trouble
from .tables import PostgresTables
from .wire import Wire

log = logging.getLogger("keepstep.journal")

SESSIONS_MAX = 8
"""Transactions of the callers' own at once, in one process; others wait for one to end."""

CONFIRM_SECONDS = 0.5
"""Between two questions whether a standby is there again."""

LEAVING_SECONDS_MAX = 2.0
"""How long whoever still works with a session that is to be closed is waited for."""

ENDED_BY_HAND = (
    "a transactional step has ended its transaction by a statement of its own; what it did before may be committed, "
    "and its result is not recorded"
)

T = TypeVar("T")


class Sessions:
    """The sessions of one process for such transactions."""

    def __init__(self, address: Address, shards: int, now: Callable[[], int]) -> None:
        self._address = address
        self._shards = shards
        self._now = now
        self._places = asyncio.Semaphore(SESSIONS_MAX)
        self._idle: list[psycopg.Connection[Any]] = []
        self._is_closed = False

    @asynccontextmanager
    async def begin(self, is_async: bool) -> AsyncIterator[PostgresTransaction]:
        """See ``Journal.transaction``."""
        async with self._places:
            session = await self._take()
            transaction = PostgresTransaction(session, self._wrap, self._record, self._confirm)
            try:
                await _to_the_end(transaction.begin(is_async))
                yield transaction
            except Exception as error:
                was_lost = session.closed and not transaction.is_ending
                await _to_the_end(transaction.leave(is_whole=False))
                if was_lost:
                    raise StoreUnavailable(f"the connection of a transaction broke: {_line(error)}") from error
                raise
            except BaseException:
                await _to_the_end(transaction.leave(is_whole=False))
                raise
            await _to_the_end(transaction.leave(is_whole=True))
            self._put_back(session)

    async def _take(self) -> psycopg.Connection[Any]:
        """A session that is alive. Whoever is cancelled while one is made need not wait for it."""
        making = asyncio.ensure_future(asyncio.to_thread(self._find_or_open))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_close_unwanted)
            raise
        except psycopg.Error as error:
            raise StoreUnavailable(f"{self._address.shown} gives out no connection: {_line(error)}") from error

    def _find_or_open(self) -> psycopg.Connection[Any]:
        while self._idle:
            try:
                session = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if self._is_good(session):
                return session
        return self._open()

    def _open(self) -> psycopg.Connection[Any]:
        return open_session(self._address)

    def _wrap(self, session: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
        """Another object of the driver's over a session."""
        return psycopg.Connection(session.pgconn)

    def _join(self, session: psycopg.Connection[Any]) -> AbstractContextManager[Wire]:
        return joining(session, self._address)

    def _is_good(self, session: psycopg.Connection[Any]) -> bool:
        """Whether an idle session is still alive; nothing of its last user is left in it."""
        try:
            session.execute("SELECT 1" if self._address.pooled else "DISCARD ALL")
        except psycopg.Error:
            session.close()
        return not session.closed

    def _put_back(self, session: psycopg.Connection[Any]) -> None:
        if self._is_closed:
            session.close()
        elif not session.closed:
            self._idle.append(session)

    def _record(self, session: psycopg.Connection[Any], transaction: int, commit: Commit) -> Committed:
        """Decide and write in the transaction that the session is in, if it still is that one. On a thread."""
        status = session.info.transaction_status
        if status is pq.TransactionStatus.INERROR:
            raise _failed(psycopg.errors.InFailedSqlTransaction("a statement has failed, which its step has ignored"))
        if status is not pq.TransactionStatus.INTRANS:
            raise _failed(StatementRefused(ENDED_BY_HAND))
        with self._join(session) as wire:
            if wire.ask(sql.OWN_TRANSACTION) != [(transaction,)]:
                raise _failed(StatementRefused(ENDED_BY_HAND))
            return self._decide(wire, commit)

    def _decide(self, wire: Wire, commit: Commit) -> Committed:
        tables = PostgresTables(self._shards)
        tables.wire = wire
        picture, wants = Picture(tables), Wants()
        picture.begin(self._now())
        change.want_commit(wants, commit)
        picture.prefetch(wants)
        outcome = change.commit_run(picture, commit)
        picture.write()
        tables.finish()
        wire.exchange()
        return outcome

    async def _confirm(self) -> None:
        """Wait until a standby has all that was committed so far: a later commit waits for the earlier ones, too."""
        while not self._is_closed:
            try:
                if await asyncio.to_thread(commit_something, self._address):
                    return
            except psycopg.Error as error:
                log.warning("nobody knows whether a standby has what was committed: %s", _line(error))
            await asyncio.sleep(CONFIRM_SECONDS)

    def close(self) -> None:
        self._is_closed = True
        for session in self._idle:
            session.close()
        self._idle.clear()


class PostgresTransaction:
    """See the module. Implements ``keepstep.journal.Transaction``."""

    connection: Any

    def __init__(
        self,
        session: psycopg.Connection[Any],
        wrap: Callable[[psycopg.Connection[Any]], psycopg.Connection[Any]],
        record: Callable[[psycopg.Connection[Any], int, Commit], Committed],
        confirm: Callable[[], Awaitable[None]],
    ) -> None:
        self._session = session
        self._wrap = wrap
        self._record = record
        self._confirm = confirm
        self._block: Any = None
        self._id = 0
        self._warnings = 0
        self.is_ending = False
        """Its commit has begun."""
        self._is_committed = False

    async def begin(self, is_async: bool) -> None:
        """Make a connection of the driver's over the session, and begin."""
        if is_async:
            connection = psycopg.AsyncConnection(self._session.pgconn)
            await connection.set_autocommit(True)
            self._block = connection.transaction()
            self._prepare(connection)
            await self._block.__aenter__()
            cursor = await connection.execute(sql.OWN_TRANSACTION.text)
            row = await cursor.fetchone()
        else:
            plain = self._wrap(self._session)
            plain.autocommit = True
            self._block = _OnThread(plain.transaction())
            self._prepare(plain)
            await self._block.__aenter__()
            row = await asyncio.to_thread(lambda: plain.execute(sql.OWN_TRANSACTION.text).fetchone())
        assert row is not None
        (self._id,) = row

    def _prepare(self, connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
        connection.prepare_threshold = None
        connection.add_notice_handler(self._note)
        self.connection = connection

    def _note(self, diagnostic: Diagnostic) -> None:
        self._warnings += diagnostic.severity_nonlocalized == "WARNING"

    async def commit(self, commit: Commit) -> Committed:
        check_commit(commit)
        return await _to_the_end(self._commit(commit))

    async def _commit(self, commit: Commit) -> Committed:
        self.is_ending = True
        try:
            outcome = await asyncio.to_thread(self._record, self._session, self._id, commit)
            self._warnings = 0
            await self._block.__aexit__(None, None, None)
        except psycopg.Error as error:
            if self._session.closed or passing_trouble(error) is not None:
                raise StoreUnavailable(f"it may or may not be written: {_line(error)}") from error
            raise _failed(error) from error
        self._is_committed = True
        if self._warnings:  # the server has stopped to wait for its standby
            await self._confirm()
        return outcome

    async def leave(self, *, is_whole: bool) -> None:
        """The caller has left it: what is not committed is rolled back. ``is_whole``: nobody works with it any more."""
        if is_whole and not self._is_committed and not self.is_ending:
            try:
                await self._block.__aexit__(_Left, _Left(), None)
            except psycopg.Error:
                is_whole = False
        if not is_whole or self.is_ending > self._is_committed:
            await self._close()
        if self._block is not None:
            self.connection.pgconn = _closed_pgconn()

    async def _close(self) -> None:
        """Close the session, once nobody is in the middle of using it."""
        if self._block is None:
            self._session.close()
            return
        connection, is_ours = self.connection, False
        try:
            if isinstance(connection, psycopg.AsyncConnection):
                await connection.cancel_safe(timeout=LEAVING_SECONDS_MAX)
                is_ours = await asyncio.wait_for(connection.lock.acquire(), LEAVING_SECONDS_MAX)
            else:
                await asyncio.to_thread(connection.cancel_safe, timeout=LEAVING_SECONDS_MAX)
                is_ours = await asyncio.to_thread(connection.lock.acquire, timeout=LEAVING_SECONDS_MAX)
        except (psycopg.Error, TimeoutError) as error:
            is_ours = self._session.closed
            log.info("a session could not be left in peace: %s", _line(error))
        if is_ours:
            self._session.close()
        else:
            log.error("a transactional step goes on with its connection although its time is over; it stays open")


class _Left(Exception):
    """What rolls back a transaction that nobody wants to be committed."""


class _OnThread:
    """A plain context manager, entered and left on a thread."""

    def __init__(self, block: AbstractContextManager[Any]) -> None:
        self._block = block

    async def __aenter__(self) -> None:
        await asyncio.to_thread(self._block.__enter__)

    async def __aexit__(self, *error: Any) -> None:
        await asyncio.to_thread(self._block.__exit__, *error)


def _close_unwanted(made: asyncio.Future[psycopg.Connection[Any]]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().close()


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Whoever is cancelled meanwhile comes to the end first: a session is never left in the middle of something."""
    task, was_cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            was_cancelled = True
    if was_cancelled:
        task.exception()
        raise asyncio.CancelledError
    return task.result()


@cache
def _closed_pgconn() -> pq.abc.PGconn:
    """What the connection of a transaction that is over stands on: whoever uses it is told that it is closed."""
    pgconn = pq.PGconn.connect(b"service=none-of-ours")
    pgconn.finish()
    return pgconn


def _failed(why: Exception) -> DeedFailed:
    failed = DeedFailed(_line(why))
    failed.__cause__ = why
    return failed


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
