"""Opening a journal: reach the server, is it one that keeps its word, is the schema there, agree on time, enter.

While it is opened, a server that starts up or has no connection left is waited for (``OPENING_SECONDS_MAX``); what
only a person can put right is refused at once, in words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
import psycopg

from keepstep.journal.clock import Clock, ClockAnchor, SystemClock
from keepstep.journal.deciding.codes import json_text
from keepstep.journal.errors import StoreUnavailable
from keepstep.journal.identifier import IdFactory, uuid7
from keepstep.journal.lease import ProcessIdentity
from keepstep.journal.process import is_surely_dead, this_process
from keepstep.journal.writing.drive import ThreadDrive
from keepstep.journal.writing.renewal import Renewals
from keepstep.journal.writing.writer import Writer

from . import statements as sql
from .address import Address, parse_address
from .calls import Calls
from .connection import WRITER, connect, is_worth_waiting, open_plainly
from .flush import Flusher
from .gate import check_gate
from .herald import Herald, NoHerald
from .journal import PostgresJournal
from .migration import migrate
from .pace import REAL, Pace
from .parts import Parts
from .query import Queries
from .reader import ReaderPool
from .tables import PostgresTables
from .transaction import Sessions
from .wire import Wire

T = TypeVar("T")

OPENING_SECONDS_MAX = 30.0
RETRY_SECONDS_MAX = 1.0

PROCESSES_KEPT_MICROSECONDS = 7 * 24 * 3600 * 1_000_000
"""A process of another machine of which nothing was seen for so long is taken for dead."""


async def open_postgres(
    url: str, *, create: bool = True, clock: Clock | None = None, ids: IdFactory = uuid7
) -> PostgresJournal:
    """Open the journal that a ``postgresql://`` URL names (``address``), for the running event loop.

    ``create=False`` refuses a schema that does not exist. Raises ``StoreUnavailable`` with what is wrong and what to
    do, ``SchemaTooNew``, ``InvalidInput`` for the URL.
    """
    address = parse_address(url)
    clock = SystemClock() if clock is None else clock
    opened = await asyncio.to_thread(_open, address, create, clock)
    return opened.assemble(clock, ids)


class _Opened:
    """What was found at the server, and the process's way into it."""

    def __init__(self, address: Address, shards: int, process: int, flusher: Flusher, renewals: Renewals) -> None:
        self._address = address
        self._shards = shards
        self._process = process
        self._flusher = flusher
        self._renewals = renewals

    def assemble(self, clock: Clock, ids: IdFactory) -> PostgresJournal:
        address = self._address
        reader = ReaderPool(lambda: connect(address, application="keepstep reader"), address.shown)
        sessions = Sessions(address, self._shards, clock.now)
        queries = Queries(self._shards)
        herald = self._herald(Calls(lambda: queries.finds, REAL.monotonic))
        journal = PostgresJournal(
            clock, ids, reader, queries, herald, sessions, is_surely_dead, address.schema, lambda: herald.is_listening
        )
        writer = Writer(self._flusher, self._renewals, clock, journal.resolve, REAL.monotonic)
        journal.attach(writer, ThreadDrive(writer))
        return journal

    def _herald(self, calls: Calls) -> Herald | NoHerald:
        address = self._address.behind_the_pooler()
        if address is None:
            return NoHerald()

        def connect_unsynced() -> Wire:
            return connect(address, application="keepstep herald", settings={"synchronous_commit": "off"})

        return Herald(connect_unsynced, f"keepstep_{address.schema}", f"{self._process:016x}", calls)


def _open(address: Address, create: bool, clock: Clock) -> _Opened:
    return try_patiently(lambda: _enter(address, create, clock), address.shown)


def try_patiently(work: Callable[[], T], shown: str, pace: Pace = REAL) -> T:
    """Do what a server that is about to be usable may refuse. Raises ``StoreUnavailable``, at last or at once."""
    deadline = pace.monotonic() + OPENING_SECONDS_MAX
    pause = 0.05
    while True:
        try:
            return work()
        except psycopg.Error as error:
            if not is_worth_waiting(error) or pace.monotonic() > deadline:
                raise StoreUnavailable(f"{shown} cannot be used: {_text_of(error)}") from error
        pace.sleep(pace.between(pause / 2, pause))
        pause = min(pause * 2, RETRY_SECONDS_MAX)


def _text_of(error: psycopg.Error) -> str:
    """The driver's words in one line."""
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _enter(address: Address, create: bool, clock: Clock) -> _Opened:
    with open_plainly(address) as db:
        shards = migrate(db, address, create)

    def connect_writer() -> Wire:
        return connect(address, application=WRITER)

    process = REAL.draw_number()
    flusher, renewals = enter(connect_writer, address.shown, shards, process, this_process(), clock, is_surely_dead)
    return _Opened(address, shards, process, flusher, renewals)


def enter(
    connect_writer: Callable[[], Wire],
    shown: str,
    shards: int,
    process: int,
    identity: ProcessIdentity,
    clock: Clock,
    judge: Callable[[ProcessIdentity], bool],
    pace: Pace = REAL,
) -> tuple[Flusher, Renewals]:
    """Make a process one of those that write to a schema whose tables are there; its way to write.

    ``process`` is a number of its own, ``judge`` says which others surely are dead.
    """
    renewals = Renewals(pace.monotonic)
    tables = PostgresTables(shards)
    parts = Parts(clock.now, pace.monotonic)
    flusher = Flusher(tables, connect_writer, clock, process, json_text(identity), renewals, parts.look_after, pace)
    flusher.connect()
    try:
        check_gate(tables.wire, shown)
        parts.make(tables.wire)
        _agree_on_time(tables.wire, clock)
        _remove_dead(tables.wire, clock, judge)
    except BaseException:
        flusher.sign_off()
        raise
    return flusher, renewals


def _agree_on_time(wire: Wire, clock: Clock) -> None:
    """Processes of one boot of a machine have the same engine time; other machines have their own clocks."""
    own = clock.anchor()
    name = f"clock {own.boot_id}"
    wire.ask(sql.WRITE_META, name, json_text(own))
    [(there,)] = wire.ask(sql.READ_META, name)
    if own.boot_id:
        clock.adopt(msgspec.json.decode(there, type=ClockAnchor))


def _remove_dead(wire: Wire, clock: Clock, judge: Callable[[ProcessIdentity], bool]) -> None:
    forgotten = clock.now() - PROCESSES_KEPT_MICROSECONDS
    for process, identity, seen_at in wire.ask(sql.LIST_PROCESSES):
        if seen_at < forgotten or judge(msgspec.json.decode(identity, type=ProcessIdentity)):
            wire.ask(sql.DELETE_PROCESS, process)
