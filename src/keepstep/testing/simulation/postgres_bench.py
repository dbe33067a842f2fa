"""PostgresBench: one real server for many short stories, and who goes on when.

The server is one of ``keepstep.testing.postgres`` whose files lie in memory. A story finds the journal's schema with
nothing in it (``clear``), and sessions that others have had before it, as new in all that can be told from outside: no
transaction is open, nothing is listened to. What is kept are the plans of statements, which cost more than all else.

*One statement at a time.* An exchange runs alone: its session has all of the server until it has answered or has come
to wait for a lock that another session holds. Such a session is *parked*: the story goes on with others, and after
every exchange of theirs the server is asked (``pg_blocking_pids``) who is free now. Those go on in the order in which
they began to wait, one after another. A commit can free several at once, and the server would let them run at the same
time; so the process of a parked session is stopped (SIGSTOP), until it is its turn. It holds nothing but its locks.
What the server would do by its own clock is switched off there and done by the story's: a statement that has waited for
too long is cancelled, and so is one of those that wait for each other in a circle.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from select import POLLIN, poll
from typing import Any, Protocol
from urllib.parse import quote

import psycopg
from psycopg import errors, pq

from keepstep.journal.postgres import connection
from keepstep.journal.postgres.address import parse_address
from keepstep.journal.postgres.migration import migrate
from keepstep.journal.postgres.parts import Parts
from keepstep.journal.postgres.statement import Statement
from keepstep.testing.postgres import PostgresServer
from keepstep.testing.postgres.access import USER

from .track import Track, Tracks, this_track

LOCK_SECONDS = 0.4
"""After so long a statement that waits for a lock is cancelled: the store's own limit, as its part of a lease."""

IDLE_SECONDS = 1.0
"""After so long without a word in a transaction a session is ended: half a lease, as the store's own limit is."""

DEADLOCK_SECONDS = 0.1
"""After so long who waits is looked at for a circle."""

PATIENCE_MILLISECONDS = 2
"""Of real time, until it is asked whether a session that does not answer is waiting for a lock."""

REAL_SECONDS_MAX = 60.0
"""An exchange that takes longer is a defect of this module or of the server."""

SETTINGS = {
    "autovacuum": "off",
    "deadlock_timeout": "1h",
    "max_connections": "60",
    "max_wal_senders": "0",
    "shared_buffers": "32MB",
    "wal_level": "minimal",
    "checkpoint_timeout": "1d",
    "max_wal_size": "1GB",
}

TIMELESS = {"lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
"""What the server would do by its own clock."""

VACUUM_EVERY = 20
"""Stories, after which dead rows are taken away: they cost time, and nobody is there to see them."""

STEP = "step"
"""The kind of sessions in which steps do their own work."""

_NEW = "new"
"""The schema that holds what is in the tables of a journal that is new."""

_DONE = pq.ExecStatus.PIPELINE_SYNC
_IDLE = pq.TransactionStatus.IDLE

_WAITS = b"SELECT pid, pg_blocking_pids(pid) FROM unnest($1::int[]) AS pid"


class Talk(Protocol):
    """What is to come from the server in an exchange."""

    def advance(self) -> bool:
        """Take what has arrived, as far as it goes without waiting; whether that is all."""
        ...


class Pipeline:
    """The answers to a pipeline, that to its end included."""

    def __init__(self, pgconn: pq.abc.PGconn) -> None:
        self._pgconn = pgconn
        self.results: list[pq.abc.PGresult] = []

    def advance(self) -> bool:
        pgconn = self._pgconn
        pgconn.consume_input()
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is not None:
                self.results.append(result)
                if result.status == _DONE:
                    return True
        return False


class Session:
    """A session of the server, in one pair of hands at a time."""

    def __init__(self, db: psycopg.Connection[Any], kind: str) -> None:
        self.db = db
        self.kind = kind
        self.pgconn = db.pgconn
        self.pid = db.pgconn.backend_pid
        self.prepared: dict[Statement, bytes] = {}
        self.names = 0
        self.poll = poll()
        self.poll.register(db.pgconn.socket, POLLIN)
        self.talk: Talk = Pipeline(db.pgconn)
        self.is_running = False
        self.waiter: Track | None = None
        """Who waits for its answer, where it is parked."""
        self.limits: list[asyncio.TimerHandle] = []
        """Of its wait for a lock, or for a word of its holder's in a transaction."""
        self.lose: Callable[[], None] | None = None
        """Called when it is ended by the server."""
        self.refusal: psycopg.Error | None = None
        """Why what it was doing was cancelled."""
        self.listens = False
        self.lent = 0
        """How often it was lent."""
        self.hear: Callable[[str], None] | None = None
        """Called with what others tell."""


class PostgresBench:
    """See the module. It belongs to one thread."""

    def __init__(self, folder: Path | None, set_up: str) -> None:
        """``set_up``: what else there is in the database, in SQL."""
        self._server = PostgresServer(settings=SETTINGS, parent=folder)
        self._server.__enter__()
        self.address = parse_address(_url_of(self._server))
        self._control = psycopg.connect(self.address.conninfo, autocommit=True)
        self._control.execute(set_up)
        self._make_new()
        self._idle: dict[str, list[Session]] = {}
        self._lent: dict[Session, None] = {}
        self._parked: dict[Session, None] = {}
        self._context = contextvars.Context()
        self._stories = 0

    def _make_new(self) -> None:
        with psycopg.connect(self.address.conninfo, autocommit=True) as db:
            migrate(db, self.address, True)
        wire = connection.connect(self.address)
        Parts(lambda: 0, lambda: 0.0).make(wire)
        wire.close()
        find = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('keepstep', 'public')"
        self._tables = [name for (name,) in self._control.execute(f"{find} AND NOT tablename ~ '^events_' ORDER BY 1")]
        find = "SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences ORDER BY 1"
        self._numbers = [name for (name,) in self._control.execute(find)]
        self._control.execute(f"CREATE SCHEMA {_NEW}")
        self._filled = []
        for table in self._tables:
            row = self._control.execute(f"SELECT EXISTS (SELECT FROM {table})").fetchone()
            if row is not None and row[0]:
                self._filled.append(table)
                self._control.execute(f"CREATE TABLE {_NEW}.{table.partition('.')[2]} AS TABLE {table}")

    # -- a story

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """A story begins on that loop."""
        self._loop = loop
        self.strays = Tracks(loop, self._context)
        self.is_away = False

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """For what is no process's own."""
        return self._loop.call_later(seconds, callback, *args, context=self._context)

    def break_off(self) -> None:
        """The server ends all that it has been doing; whoever waits for it hears nothing more of it."""
        self.strays.kill()
        while self._parked:
            session = next(iter(self._parked))
            session.waiter = None
            self.cancel(session, errors.AdminShutdown("terminating connection due to administrator command"))
        for session in list(self._lent):
            self.leave(session)

    def clear(self) -> None:
        """End what is left of a story, and make the schema as it was when it was new."""
        self.break_off()
        deleting = [f"DELETE FROM {table}" for table in self._tables]
        filling = [f"INSERT INTO {table} SELECT * FROM {_NEW}.{table.partition('.')[2]}" for table in self._filled]
        counting = [f"SELECT setval('{name}', 1, false)" for name in self._numbers]
        self._control.execute("; ".join(["BEGIN", *deleting, *filling, *counting, "COMMIT"]).encode())
        self._stories += 1
        if self._stories % VACUUM_EVERY == 0:
            self._control.execute("VACUUM")

    def close(self) -> None:
        self._control.close()
        self._server.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A look from outside."""
        return self._control.execute(query.encode()).fetchall()

    # -- sessions

    def lend(self, kind: str) -> Session:
        idle = self._idle.setdefault(kind, [])
        session = idle.pop() if idle else self._open(kind)
        self._lent[session] = None
        session.lent += 1
        return session

    def _open(self, kind: str) -> Session:
        if kind == STEP:
            return Session(connection.open_session(self.address), kind)
        wire = connection.connect(self.address, application=f"keepstep {kind}", settings=TIMELESS)
        return Session(wire._connection, kind)

    def leave(self, session: Session) -> None:
        """Whoever had it is gone. What it is executing it goes on to execute; then it ends as a session does."""
        if session.is_running:
            session.waiter = None
            return
        self._end(session)
        self._settle()

    def leave_later(self, session: Session, seconds: float) -> None:
        """The same, and the server finds it out later."""
        lent = session.lent

        def leave() -> None:
            if session.lent == lent and session in self._lent:
                self.leave(session)

        self.call_later(seconds, leave)

    def _end(self, session: Session) -> None:
        if session not in self._lent:
            return
        del self._lent[session]
        self._stop_limits(session)
        if session.pgconn.transaction_status != _IDLE:
            self._command(session, b"ROLLBACK")
        if session.listens:
            self._command(session, b"UNLISTEN *")
        session.listens, session.hear, session.refusal, session.lose = False, None, None, None
        self._idle[session.kind].append(session)

    def _command(self, session: Session, text: bytes) -> None:
        """On behalf of the server itself."""
        pgconn = session.pgconn
        pgconn.enter_pipeline_mode()
        pgconn.send_query_params(text, [])
        pgconn.pipeline_sync()
        session.talk, session.is_running = Pipeline(pgconn), True
        self._proceed(session)
        if session.kind == STEP:
            pgconn.exit_pipeline_mode()
        assert not session.is_running, f"{text.decode()} waits for a lock"

    # -- exchanges

    def execute(self, session: Session, talk: Talk) -> None:
        """Have what was sent executed. Called on a track.

        Returns before it is done where whoever called it is not to hear of it any more.
        """
        self._stop_limits(session)
        session.talk, session.is_running, session.refusal = talk, True, None
        self._proceed(session)
        if session.is_running:
            session.waiter = this_track()
            session.waiter.rest()
        else:
            self._limit_idleness(session)
            self._settle()

    def _proceed(self, session: Session) -> None:
        """Until it has answered all, or waits for a lock."""
        deadline = time.monotonic() + REAL_SECONDS_MAX
        while not session.talk.advance():
            if session.poll.poll(PATIENCE_MILLISECONDS):
                continue
            if session.refusal is None and self._who_waits([session]):
                self._park(session)
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"session {session.pid} neither answers nor waits for a lock")
        session.is_running = False

    def _settle(self) -> None:
        """Whoever is free now goes on."""
        while self._parked:
            waits = self._who_waits(list(self._parked))
            free = next((session for session in self._parked if session.pid not in waits), None)
            if free is None:
                return
            self._go_on(free)

    def _go_on(self, session: Session) -> None:
        self._unpark(session)
        self._proceed(session)
        if session.is_running:
            return
        if session.waiter is None:
            self._end(session)
        else:
            waiter, session.waiter = session.waiter, None
            waiter.wake()
            self._limit_idleness(session)

    def _limit_idleness(self, session: Session) -> None:
        if session.kind != STEP and session.pgconn.transaction_status != _IDLE:
            session.limits = [self.call_later(IDLE_SECONDS, self._give_up, session)]

    def _give_up(self, session: Session) -> None:
        """Nothing was heard of it for too long, and others may want what it has locked."""
        if session.lose is not None:
            session.lose()
        self.leave(session)

    def _stop_limits(self, session: Session) -> None:
        for limit in session.limits:
            limit.cancel()
        session.limits = []

    # -- locks

    def _who_waits(self, sessions: list[Session]) -> dict[int, list[int]]:
        """For each that waits for a lock: whose."""
        pids = "{" + ",".join(str(session.pid) for session in sessions) + "}"
        result = self._control.pgconn.exec_params(_WAITS, [pids.encode()])
        waits: dict[int, list[int]] = {}
        for n in range(result.ntuples):
            pid, others = result.get_value(n, 0), result.get_value(n, 1)
            assert pid is not None
            assert others is not None
            if others != b"{}":
                waits[int(pid)] = [int(each) for each in others[1:-1].split(b",")]
        return waits

    def _park(self, session: Session) -> None:
        os.kill(session.pid, signal.SIGSTOP)
        self._parked[session] = None
        timed_out = errors.LockNotAvailable("canceling statement due to lock timeout")
        session.limits = [
            self.call_later(DEADLOCK_SECONDS, self._look_for_a_circle, session),
            self.call_later(LOCK_SECONDS, self.cancel, session, timed_out),
        ]

    def _unpark(self, session: Session) -> None:
        self._stop_limits(session)
        del self._parked[session]
        os.kill(session.pid, signal.SIGCONT)

    def _look_for_a_circle(self, session: Session) -> None:
        waits = self._who_waits(list(self._parked))
        reached, ahead = set[int](), list(waits.get(session.pid, ()))
        while ahead:
            pid = ahead.pop()
            if pid not in reached:
                reached.add(pid)
                ahead += waits.get(pid, ())
        if session.pid in reached:
            self.cancel(session, errors.DeadlockDetected("deadlock detected"))

    def cancel(self, session: Session, why: psycopg.Error) -> None:
        session.refusal = why
        self._control.pgconn.exec_params(b"SELECT pg_cancel_backend($1::int)", [str(session.pid).encode()])
        self._go_on(session)
        self._settle()

    # -- what is told to all

    def spread(self, teller: Session) -> None:
        """A session has told something: wait until everybody has it who listens."""
        deadline = time.monotonic() + REAL_SECONDS_MAX
        for session in self._lent:
            is_told = not session.listens
            while not is_told:
                while (notice := session.pgconn.notifies()) is not None:
                    is_told = is_told or notice.be_pid == teller.pid
                    if session.hear is not None:
                        session.hear(notice.extra.decode())
                if not is_told:
                    session.poll.poll(PATIENCE_MILLISECONDS)
                    session.pgconn.consume_input()
                    assert time.monotonic() < deadline, "what was told has not arrived"


def _url_of(server: PostgresServer) -> str:
    """By the socket in its folder, which takes less time than TCP."""
    who = f"{USER}:{server.password}"
    return f"postgresql://{who}@/postgres?host={quote(str(server.folder))}&port={server.port}&schema=keepstep&shards=1"
