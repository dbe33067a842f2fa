"""Wire: one connection, and statements that travel together.

Statements are *queued*, which sends them on their way, and *exchanged*: all that was queued since the last exchange is
one round trip (PostgreSQL's pipeline mode). If one of them fails, those behind it are not executed, and ``exchange``
raises what failed. Outside of ``BEGIN`` … ``COMMIT`` an exchange is one transaction of its own.

Statements are prepared on their first use. Through a pooler that hands out another server's session for every
transaction (``pooled``) nothing outlives a transaction: statements travel with their text, and the session's settings
go in front of each transaction.

A prepared statement keeps its plan, and one that was made while the journal was empty takes any index for as good as
the right one. So a wire has all of them **planned anew** when it has sent some, and again each time it has sent four
times as many: by how much it has made its tables grow meanwhile is bounded by what it has sent.

A wire belongs to one thread at a time. It waits without holding the interpreter lock, and for as long as the server
takes; that a server is gone for good is found by TCP (``connection.py`` sets its limits).
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from .statement import BINARY_FORMAT, Statement

_BAD = pq.ConnStatus.BAD
_SYNC = pq.ExecStatus.PIPELINE_SYNC
_ABORTED = pq.ExecStatus.PIPELINE_ABORTED
_FATAL = pq.ExecStatus.FATAL_ERROR
_IDLE = pq.TransactionStatus.IDLE

BEGIN = Statement("BEGIN")
BEGIN_SNAPSHOT = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
COMMIT = Statement("COMMIT")
ROLLBACK = Statement("ROLLBACK")
PLAN_ANEW = Statement("DISCARD PLANS", is_kept=False)

PLAN_ANEW_FIRST, PLAN_ANEW_FACTOR = 64, 4
"""After how many statements, and after how many times as many again."""

_READ, _WRITE = select.POLLIN, select.POLLOUT


class ConnectionLost(psycopg.OperationalError):
    """The connection broke; what was on its way may or may not have happened."""


class Doubt(Exception):
    """What is known is not enough for a flush that goes by a guess."""


class Wire:
    """See the module. ``preamble`` goes in front of each transaction of a pooled connection."""

    def __init__(self, connection: psycopg.Connection[Any], preamble: Statement | None = None) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._preamble = preamble
        self._prepared: dict[Statement, bytes] = {}
        self._fresh: list[Statement] = []
        """Those that are being prepared by what is on its way."""
        self._names = self._sent = 0
        self._plan_anew_at = PLAN_ANEW_FIRST
        self._queued: list[bool] = []
        """For each command on its way: whether its result is wanted."""
        self._is_begun = False
        """Whether a transaction was begun explicitly."""
        self._rows = Transformer()
        self._poll = select.poll()
        self._poll.register(self._pgconn.socket, _READ)
        self._poll_both = select.poll()
        self._poll_both.register(self._pgconn.socket, _READ | _WRITE)
        self.is_guessing = False
        """Whether what is queued goes by a guess: what would do something all the same if that is wrong, is refused."""
        self.warnings = 0
        """WARNINGs that the server has sent: at COMMIT they mean that it promises less than was asked."""
        self._pgconn.notice_handler = self._notice
        self._pgconn.enter_pipeline_mode()

    @property
    def is_lost(self) -> bool:
        return bool(self._pgconn.status == _BAD)

    @property
    def is_pooled(self) -> bool:
        return self._preamble is not None

    @property
    def backend_pid(self) -> int:
        return self._pgconn.backend_pid

    @property
    def socket(self) -> int:
        return self._pgconn.socket

    def close(self) -> None:
        self._connection.close()

    def notifications(self) -> list[str]:
        """The payloads of all NOTIFYs that have arrived. Raises ``ConnectionLost``."""
        try:
            self._pgconn.consume_input()
        except psycopg.Error as error:
            raise ConnectionLost(str(error)) from error
        payloads = []
        while (notice := self._pgconn.notifies()) is not None:
            payloads.append(notice.extra.decode(errors="replace"))
        return payloads

    # -- transactions

    def begin(self, how: Statement = BEGIN) -> None:
        """Queue the begin of a transaction."""
        self._plan_anew_if_due()
        self._is_begun = True
        self._send(how, (), wanted=False)
        if self._preamble is not None:
            self._send(self._preamble, (), wanted=False)

    def join(self) -> None:
        """The connection is in a transaction of somebody else's: what is queued becomes part of it."""
        self._is_begun = True
        if self._preamble is not None:
            self._send(self._preamble, (), wanted=False)

    def part(self) -> None:
        """Give the connection back to whoever began the transaction."""
        if self.is_lost:
            return
        if self._queued:
            self._drain()
        self._pgconn.exit_pipeline_mode()

    def commit(self) -> list[pq.abc.PGresult]:
        """Queue the end of the transaction, and exchange."""
        self._send(COMMIT, (), wanted=False)
        self._is_begun = False
        return self._exchange()

    def roll_back(self) -> None:
        """Leave the transaction, whatever state it is in. Raises ``ConnectionLost``."""
        self._is_begun = False
        if self._queued:
            self._drain()
        if self._pgconn.transaction_status != _IDLE:
            self._send(ROLLBACK, (), wanted=False)
            self._exchange()

    def fall_back(self, savepoint: Statement) -> None:
        """Return to a savepoint, whatever has failed behind it."""
        if self._queued:
            self._drain()
        self._send(savepoint, (), wanted=False)
        self._exchange()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction around what is asked within; rolled back by whatever is raised."""
        self.begin()
        try:
            yield
            self.commit()
        except BaseException:
            self.roll_back()
            raise

    # -- statements

    def queue(self, statement: Statement, *values: Any) -> None:
        """Send a statement on its way. Raises ``Doubt`` for one that must not go by a guess."""
        if self.is_guessing and not statement.knows_of_guess:
            raise Doubt
        self._plan_anew_if_due()
        if self._preamble is not None and not self._is_begun and not self._queued:
            self._send(BEGIN, (), wanted=False)
            self._send(self._preamble, (), wanted=False)
        self._send(statement, values, wanted=True)

    def _plan_anew_if_due(self) -> None:
        """Between two transactions; a pooled wire has prepared nothing."""
        if self._sent >= self._plan_anew_at and not self._is_begun and not self._queued:
            self._plan_anew_at = self._sent * PLAN_ANEW_FACTOR
            self._send(PLAN_ANEW, (), wanted=False)
            self._exchange()

    def exchange(self) -> list[pq.abc.PGresult]:
        """The results of what was queued, in order. Raises what failed first, or ``ConnectionLost``."""
        if self._preamble is not None and not self._is_begun and self._queued:
            self._send(COMMIT, (), wanted=False)
        return self._exchange()

    def ask(self, statement: Statement, *values: Any) -> list[tuple[Any, ...]]:
        """Queue a statement, exchange, and return its rows."""
        self.queue(statement, *values)
        return self.rows(self.exchange()[-1])

    def rows(self, result: pq.abc.PGresult) -> list[tuple[Any, ...]]:
        self._rows.set_pgresult(result)
        return self._rows.load_rows(0, result.ntuples, tuple)

    def _send(self, statement: Statement, values: tuple[Any, ...], *, wanted: bool) -> None:
        self._put(statement, statement.encode(values), wanted)

    def _put(self, statement: Statement, encoded: list[bytes | None], wanted: bool) -> None:
        pgconn = self._pgconn
        try:
            if self._preamble is not None or not statement.is_kept:
                pgconn.send_query_params(statement.text, encoded, statement.oids, statement.formats, BINARY_FORMAT)
            else:
                name = self._prepared.get(statement)
                if name is None:
                    self._names += 1
                    name = b"k%d" % self._names
                    pgconn.send_prepare(name, statement.text, statement.oids)
                    self._queued.append(False)
                    self._prepared[statement] = name
                    self._fresh.append(statement)
                self._sent += 1
                pgconn.send_query_prepared(name, encoded, statement.formats, BINARY_FORMAT)
        except psycopg.Error as error:
            if self.is_lost:
                raise ConnectionLost(str(error)) from error
            raise
        self._queued.append(wanted)

    def _exchange(self) -> list[pq.abc.PGresult]:
        queued = self._queued
        results, failed = self._drain()
        if failed is not None:
            raise self._error_of(failed)
        return [result for result, wanted in zip(results, queued, strict=True) if wanted]

    def _drain(self) -> tuple[list[pq.abc.PGresult], pq.abc.PGresult | None]:
        """Wait for all that is on its way; the results, and the first that failed."""
        self._queued = []
        results: list[pq.abc.PGresult] = []
        failed: pq.abc.PGresult | None = None
        try:
            self._pgconn.pipeline_sync()
            self._flush()
            for result in self._receive():
                results.append(result)
                if failed is None and result.status == _FATAL:
                    failed = result
        except psycopg.Error as error:
            if self.is_lost:
                raise ConnectionLost(_said(error, failed)) from error
            raise
        if failed is not None:
            self._forget_unprepared()
        self._fresh.clear()
        return results, failed

    def _flush(self) -> None:
        """Send what libpq holds back. The server may be waiting for us to take its answers meanwhile."""
        while self._pgconn.flush():
            for _, event in self._poll_both.poll():
                if event & ~_WRITE:
                    self._pgconn.consume_input()

    def _receive(self) -> Iterator[pq.abc.PGresult]:
        """The results of all that is on its way."""
        while (result := self._next()).status != _SYNC:
            yield result

    def _next(self) -> pq.abc.PGresult:
        nothing = 0
        while True:
            while self._pgconn.is_busy():
                self._poll.poll()
                self._pgconn.consume_input()
            result = self._pgconn.get_result()
            if result is not None:
                if self.is_lost:
                    raise ConnectionLost(_text_of(result))
                return result
            nothing += 1  # one of them ends the results of each statement
            if nothing > 1 or self.is_lost:
                raise ConnectionLost("the server closed the connection")

    def _forget_unprepared(self) -> None:
        """What was to be prepared behind a failure was not. It gets another name the next time."""
        for statement in self._fresh:
            del self._prepared[statement]

    def _error_of(self, result: pq.abc.PGresult) -> psycopg.Error:
        return psycopg.errors.error_from_result(result)

    def _notice(self, result: pq.abc.PGresult) -> None:
        if result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) == b"WARNING":
            self.warnings += 1


def _text_of(result: pq.abc.PGresult) -> str:
    message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message.strip()
    return message.decode(errors="replace") or "the server closed the connection"


def _said(error: psycopg.Error, failed: pq.abc.PGresult | None) -> str:
    """The server's own last words say more than that the connection is closed."""
    return str(error) if failed is None else _text_of(failed)
