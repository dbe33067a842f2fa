"""Connections: how the server is reached, what it must be, and what its errors mean to the store.

Every connection, the first and each later one, is to a server that takes writes and keeps them: not a standby (after a
failover a client may still find the old primary, and nothing may be decided from what that one says), not one that
does not sync. ``synchronous_commit`` is set to ``on`` by every session, whatever the server's default is, unless that
is the stronger ``remote_apply``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from keepstep.journal.errors import InvalidInput, StoreUnavailable

from .address import Address
from .statement import Statement
from .wire import ConnectionLost, Wire

log = logging.getLogger("keepstep.journal")

VERSION_MIN = 140000

CONNECT_SECONDS_MAX = 10

_TCP = {
    "connect_timeout": str(CONNECT_SECONDS_MAX),
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
"""A network that is cut is noticed after about fifteen seconds, where the URL says nothing else."""

WRITER = "keepstep writer"
"""The ``application_name`` of the session that writes."""

LOCK_MILLISECONDS = 2000
"""How long a statement waits for a row that another process has locked: leases are renewed between tries."""

IDLE_IN_TRANSACTION_MILLISECONDS = 5_000
"""After this long without a word inside a transaction the server ends the session, so that the rows that a process had
locked are free although its network is cut and its end of the connection still looks alive to the server: half of the
default lease, so that they are when others take over. Within a pipeline the server does not count; see
``statements.END_STALLED``."""

_SETTINGS = {
    "lock_timeout": str(LOCK_MILLISECONDS),
    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MILLISECONDS),
    "client_min_messages": "warning",
    # Every statement is written to walk an index, and is planned once, perhaps while its tables are still empty.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}

_FROM_THE_SERVER = {"tcp_keepalives_idle": "3", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3"}
"""Of every session, those included in which steps do work of their own: the server finds out by itself whose network
was cut, after six seconds."""

_FACTS = """
SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('default_transaction_read_only')
"""

_SYNC = """
set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply'
    ELSE 'on' END, {is_local})
"""

_SPELT_OUT: dict[type[Exception], str] = {
    errors.TooManyConnections: "the server has no connection left",
    errors.CannotConnectNow: "the server is starting up or shutting down",
    errors.DiskFull: "the server's disk is full",
    errors.OutOfMemory: "the server has no memory left",
    errors.ReadOnlySqlTransaction: "the server takes no writes just now; another one may be the primary",
    errors.LockNotAvailable: "other processes hold what is to be changed",
    errors.IoError: "the server's disk reports an error",
    errors.InvalidTextRepresentation: "this process's row was taken away",  # statements.MARK_FLUSH
}

_SOON = (
    "too many clients",
    "too many connections",
    "connection slots are reserved",
    "is starting up",
    "is shutting down",
    "in recovery mode",
    "not yet accepting connections",
    "terminating connection due to administrator command",
)

_PASSING_CLASSES = ("08", "53", "57", "58", "25", "28", "3D")
"""SQLSTATE classes: connections, resources, an operator's doing, the system, a transaction of the wrong kind, access
that is denied, a database that is missing. Once a journal was open there, they all can be put right behind it."""

_CONTENTION = ("40001", "40P01", "23505", "55P03")
"""Serialization, deadlock, a row that somebody else has inserted first, a lock that was not to be had."""


class NotWritable(psycopg.OperationalError):
    """What was reached is a standby, or was told to take no writes."""


def connect(address: Address, *, application: str = "keepstep", settings: dict[str, str] | None = None) -> Wire:
    """A wire to the journal's schema. Raises ``psycopg.Error``; ``StoreUnavailable`` for a server that will not do."""
    wanted = _SETTINGS | {"search_path": address.schema} | (settings or {})
    connection = _connect(address, application, wanted)
    try:
        return Wire(connection, _preamble(wanted) if address.pooled else None)
    except BaseException:
        connection.close()
        raise


def open_plainly(address: Address) -> psycopg.Connection[Any]:
    """The driver's own connection, for what is done once: migrating."""
    return _connect(address, "keepstep opening", {"client_min_messages": "warning"})


def open_session(address: Address) -> psycopg.Connection[Any]:
    """The driver's own connection, for work of a step's own."""
    return _connect(address, "keepstep step", {})


@contextmanager
def joining(session: psycopg.Connection[Any], address: Address) -> Iterator[Wire]:
    """Use a session for statements of the journal, within the transaction that it is in.

    The settings that they want hold until that transaction ends. What else is to be told to the session's user goes
    there again afterwards.
    """
    notice_handler = session.pgconn.notice_handler
    wire = Wire(session, preamble_of(address))
    try:
        wire.join()
        yield wire
    finally:
        wire.part()
        session.pgconn.notice_handler = notice_handler


def preamble_of(address: Address, settings: dict[str, str] | None = None) -> Statement:
    """What statements of the journal want, for one transaction; with other ``settings`` than the usual."""
    return _preamble(_SETTINGS | {"search_path": address.schema} | (settings or {}))


def commit_something(address: Address) -> bool:
    """Commit something that changes nothing; whether the server made no reservations about it."""
    with open_plainly(address) as db:
        warnings: list[object] = []
        db.add_notice_handler(warnings.append)
        db.execute("SELECT pg_logical_emit_message(true, 'keepstep', '')")
        return not warnings


def _connect(address: Address, application: str, settings: dict[str, str]) -> psycopg.Connection[Any]:
    parameters = conninfo_to_dict(address.conninfo)
    given: dict[str, Any] = {**_TCP, "application_name": application, **parameters}
    if not address.pooled:
        options = " ".join(f"-c {name}={value}" for name, value in (_FROM_THE_SERVER | settings).items())
        given["options"] = f"{parameters.get('options', '')} {options}".strip()
    connection = psycopg.Connection.connect(**given, autocommit=True, prepare_threshold=None)
    try:
        _check(connection, address)
        if not address.pooled and "synchronous_commit" not in settings:
            connection.execute(f"SELECT {_SYNC.format(is_local='false')}")
    except BaseException:
        connection.close()
        raise
    return connection


def _preamble(settings: dict[str, str]) -> Statement:
    """The same settings for one transaction."""
    calls = [f"set_config('{name}', '{value}', true)" for name, value in settings.items()]
    if "synchronous_commit" not in settings:
        calls.append(_SYNC.format(is_local="true"))
    return Statement(f"SELECT {', '.join(calls)}")


def _check(connection: psycopg.Connection[Any], address: Address) -> None:
    version = connection.info.server_version
    if version < VERSION_MIN:
        raise StoreUnavailable(
            f"{address.shown} is PostgreSQL {version // 10000}, and Keepstep needs {VERSION_MIN // 10000} or later; "
            "upgrade the server"
        )
    row = connection.execute(_FACTS).fetchone()
    assert row is not None
    in_recovery, fsync, read_only = row
    if in_recovery:
        raise NotWritable("it is a standby or still recovering; name the primary, or all hosts in the URL")
    if read_only == "on":
        raise NotWritable("default_transaction_read_only is on; the journal has to be written")
    if fsync == "off":
        raise StoreUnavailable(
            f"{address.shown} runs with fsync=off and would lose what it has acknowledged when power fails; "
            "set fsync=on"
        )


def is_worth_waiting(error: psycopg.Error) -> bool:
    """Whether a server that cannot be used now is about to be usable by itself.

    While a connection is made, libpq gives words and no codes. They are the server's, and where it speaks another
    language than English nothing is waited for.
    """
    return isinstance(error, ConnectionLost) or any(words in str(error) for words in _SOON)


def is_contention(error: BaseException) -> bool:
    return isinstance(error, psycopg.Error) and error.sqlstate in _CONTENTION


def passing_trouble(error: BaseException) -> str | None:
    """What is wrong, in words, if it is the kind of trouble that goes away; None for anything else."""
    if not isinstance(error, psycopg.Error):
        return None
    for kind, words in _SPELT_OUT.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, NotWritable):
        return "the server takes no writes just now; another one may be the primary"
    if isinstance(error, ConnectionLost):
        return "the connection to the server was lost"
    if error.sqlstate is None:
        return "the server cannot be reached" if isinstance(error, psycopg.OperationalError) else None
    if error.sqlstate in _CONTENTION:
        return "other processes change the same runs"
    return "the server refuses" if error.sqlstate[:2] in _PASSING_CLASSES else None


def refusal_of(error: BaseException) -> InvalidInput | None:
    """What a caller has handed in that PostgreSQL cannot keep."""
    if isinstance(error, (errors.CharacterNotInRepertoire, errors.UntranslatableCharacter, UnicodeEncodeError)):
        return InvalidInput(
            "a name, key or status text holds a NUL or half of a surrogate pair, which PostgreSQL cannot keep; "
            "leave that out"
        )
    return None


def is_damage(error: BaseException) -> bool:
    """The journal's tables are gone, or damaged, or this program does not know them."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in ("42", "XX", "3F")
