"""PostgresOutbox: starts runs and sends messages by a connection of the user's, in the transaction that it has open.

It calls the functions of the journal's schema (``migrations/0002_functions.sql``), so that any driver will do: asyncpg,
and psycopg with plain or async connections. What they refuse, they say in a row, because an error would abort the
user's transaction. However long that is open, nobody waits for it: messages are delivered, and workers told, at COMMIT.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from keepstep.journal import size
from keepstep.journal.attribute import index
from keepstep.journal.commit import NewRun, Started
from keepstep.journal.deciding.codes import STATUSES, json_text
from keepstep.journal.errors import (
    AlreadyStarted,
    AttributeRefused,
    Conflict,
    InvalidInput,
    NotFound,
    Overloaded,
    RunClosed,
)
from keepstep.journal.message import NewMessage, Sent

Ask = Callable[[str, Sequence[Any]], Awaitable[Sequence[Any]]]
"""Calls a function of that qualified name with these values; its one row."""

_ELSEWHERE = ("42883", "3F000", "42P01", "42501")
"""SQLSTATEs: no such function, schema or table, or not for this role."""

_CONTENTION = ("40001", "40P01", "55P03")

_ISOLATED = "0A000"
"""SQLSTATE: a run is to be started by a transaction that sees an older state than the newest."""


class PostgresOutbox:
    """See the module. Made by ``PostgresJournal.within``; ``journal_id`` tells it from journals elsewhere."""

    def __init__(self, ask: Ask, schema: str, journal_id: Callable[[], Awaitable[str]]) -> None:
        self._ask = ask
        self._schema = schema
        self._journal_id = journal_id

    async def start(self, new: NewRun) -> Started:
        size.check_new_run(new)
        if len(new.events) != 1 or new.messages or new.timers or new.tasks or new.parent or new.continued_from:
            raise InvalidInput("a run that starts within a transaction begins with one event, and nothing beside it")
        [first] = new.events
        index(new.attributes, {}, new.namespace)  # what no journal takes would abort the user's transaction
        attributes = json_text(new.attributes) if new.attributes else None
        named = (new.run_id, new.workflow_id, new.namespace, new.language, new.format, new.type, new.queue)
        given = (new.started_at, new.wake_at, new.input_digest, attributes, first.type, first.data)
        outcome, run_id, type_, digest, status, epoch, version = await self._call(
            "start_run", *named, *given, new.if_running.value, new.if_closed.value
        )
        if outcome == "refused":
            raise AttributeRefused(type_)
        if outcome == "rejected":
            raise AlreadyStarted(
                f"{new.workflow_id!r} exists (run {run_id}, {STATUSES[status].value}); "
                "choose another id, or allow to attach to it"
            )
        if outcome == "open":
            raise Conflict(f"{new.workflow_id!r} is open (run {run_id}); close it before it is restarted")
        return Started(
            run_id=run_id,
            created=outcome == "started",
            leased=False,
            type=type_,
            input_digest=bytes(digest),
            status=STATUSES[status],
            epoch=epoch,
            version=version,
        )

    async def send(self, message: NewMessage) -> Sent:
        size.check_message(message)
        address = (message.run_id, message.namespace, message.workflow_id)
        outcome, run_id, workflow_id, status = await self._call(
            "send_message", *address, message.kind, message.name, message.data, message.id
        )
        if outcome == "missing":
            raise NotFound(f"there is no run {message.run_id or message.workflow_id!r} to send {message.kind!r} to")
        if outcome == "closed":
            raise RunClosed(f"{workflow_id!r} is {STATUSES[status].value}; it takes no {message.kind!r} any more")
        if outcome == "full":
            raise Overloaded(f"the inbox of {workflow_id!r} is full; try again later")
        return Sent(run_id, 0, outcome == "duplicate")  # it gets its arrival number at COMMIT

    async def _call(self, function: str, *values: Any) -> Sequence[Any]:
        journal = await self._journal_id()
        try:
            row = await self._ask(f'"{self._schema}".{function}', (journal, *values))
        except Exception as error:
            state = getattr(error, "sqlstate", None)
            if state in _ELSEWHERE:
                raise InvalidInput(
                    f"connection= cannot reach the journal in schema {self._schema!r}: {error}"
                ) from error
            if state in _CONTENTION:
                raise Conflict(
                    f"others change the same run ({error}); roll back, and do your transaction again"
                ) from error
            if state == _ISOLATED:
                said = str(error).partition("\n")[0]  # without the hint, which is for users of SQL
                raise InvalidInput(
                    f"{said}; begin the transaction of connection= with ISOLATION LEVEL READ COMMITTED"
                ) from error
            raise
        if row[0] == "elsewhere":
            raise InvalidInput("connection= is open on another database than the journal")
        return row


def asking(connection: Any) -> Ask:
    """How a function is called by a connection of any of the drivers. Raises ``InvalidInput`` for all others."""
    if isinstance(connection, psycopg.AsyncConnection):
        _check_status(connection.info.transaction_status, connection.autocommit)
        return lambda function, values: _ask_psycopg_async(connection, function, values)
    if isinstance(connection, psycopg.Connection):
        _check_status(connection.info.transaction_status, connection.autocommit)
        return lambda function, values: asyncio.to_thread(_ask_psycopg, connection, function, values)
    if type(connection).__module__.partition(".")[0] == "asyncpg" and hasattr(connection, "is_in_transaction"):
        if not connection.is_in_transaction():
            raise InvalidInput(NO_TRANSACTION)
        return lambda function, values: _ask_asyncpg(connection, function, values)
    raise InvalidInput(
        "on PostgreSQL connection= is a connection of psycopg (plain or async) or asyncpg, "
        f"not {type(connection).__module__}.{type(connection).__name__}"
    )


NO_TRANSACTION = "connection= is not in a transaction, so that nothing could be rolled back; begin one"


def _check_status(status: TransactionStatus, is_autocommit: bool) -> None:
    if status is TransactionStatus.INERROR:
        raise InvalidInput("connection= is in a transaction that has failed; roll it back")
    if status is not TransactionStatus.INTRANS and not (status is TransactionStatus.IDLE and not is_autocommit):
        raise InvalidInput(NO_TRANSACTION)


async def _ask_psycopg_async(
    connection: psycopg.AsyncConnection[Any], function: str, values: Sequence[Any]
) -> Sequence[Any]:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_by_percent(function, values), values)
        return _only(await cursor.fetchone())


def _ask_psycopg(connection: psycopg.Connection[Any], function: str, values: Sequence[Any]) -> Sequence[Any]:
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(_by_percent(function, values), values)
        return _only(cursor.fetchone())


async def _ask_asyncpg(connection: Any, function: str, values: Sequence[Any]) -> Sequence[Any]:
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    return _only(await connection.fetchrow(f"SELECT * FROM {function}({places})", *values))


def _by_percent(function: str, values: Sequence[Any]) -> bytes:
    return f"SELECT * FROM {function}({', '.join(['%s'] * len(values))})".encode()


def _only(row: Any) -> Sequence[Any]:
    assert row is not None, "the function tells one row"
    return tuple(row)
