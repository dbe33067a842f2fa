"""LentSessions: the store's sessions for transactional steps, over sessions that are lent, with trouble on the way.

A step gets a connection of the driver's, and does what it likes with it. So it is the driver's own connection that
waits on a track: every statement of the step, and the COMMIT at last, takes its way to the server like other exchanges,
is executed alone, waits for locks, and can break off before or behind what it does. Only plain connections are
simulated, as the simulated programs have plain functions for such steps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import errors, pq
from psycopg.waiting import Ready, Wait

from keepstep.journal.postgres.address import Address
from keepstep.journal.postgres.connection import preamble_of
from keepstep.journal.postgres.transaction import Sessions
from keepstep.journal.postgres.wire import Wire

from .postgres_bench import STEP, TIMELESS, PostgresBench, Session
from .postgres_faults import SLOW_SECONDS_MAX, TIME_OUT_SECONDS_MAX, Fault, Line
from .postgres_wire import LentWire, check_connecting, closed_pgconn
from .track import TrackLock, is_on_track

RV = TypeVar("RV")


class Hold:
    """A lent session in the hands of whoever does a step's work, until it is lost or left."""

    def __init__(self, bench: PostgresBench, session: Session, line: Line) -> None:
        self.bench = bench
        self.line = line
        self._session: Session | None = session

    @classmethod
    def get(cls, bench: PostgresBench, line: Line) -> Hold:
        """Connect. Raises ``psycopg.OperationalError``."""
        check_connecting(bench, line)
        return cls(bench, bench.lend(STEP), line)

    @property
    def is_lost(self) -> bool:
        return self._session is None

    @property
    def session(self) -> Session:
        if self._session is None:
            raise psycopg.OperationalError("the connection is closed")
        return self._session

    def detach(self) -> Session | None:
        """Have nothing to do with the session any more; whoever waits for it here hears that it is lost."""
        session, self._session = self._session, None
        if session is not None and session.waiter is not None:
            session.waiter.wake()
        return session

    def close(self) -> None:
        session = self.detach()
        if session is not None:
            self.bench.leave(session)

    def lose(self, what: Fault) -> psycopg.OperationalError:
        self.line.disturb()
        self.close()
        return psycopg.OperationalError(f"simulated trouble: {what.name}")


class _Driving:
    """A ``Talk`` that a generator of the driver's leads."""

    def __init__(self, generator: Generator[Any, Any, RV], wants: Wait, is_ready: Callable[[], bool]) -> None:
        self._generator = generator
        self._wants = wants
        self._is_ready = is_ready
        self.outcome: Any = None
        self.error: BaseException | None = None

    def advance(self) -> bool:
        try:
            while self._wants & Wait.W or self._is_ready():
                ready = Ready.W if self._wants & Wait.W else Ready.R
                self._wants = self._generator.send(ready)
        except StopIteration as end:
            self.outcome = end.value
            return True
        except psycopg.Error as error:
            self.error = error
            return True
        return False


class LentConnection(psycopg.Connection[Any]):
    """A connection of the driver's that waits on a track."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        super().__init__(hold.session.pgconn)
        self.lock: Any = TrackLock()

    @property
    def pgconn(self) -> pq.abc.PGconn:
        """What is closed, where the session is lost: it may be somebody else's by now."""
        return closed_pgconn() if self._hold.is_lost else self._pgconn

    @pgconn.setter
    def pgconn(self, pgconn: pq.abc.PGconn) -> None:
        self._pgconn = pgconn

    @property
    def hold(self) -> Hold:
        return self._hold

    def close(self) -> None:
        self._hold.close()

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """What waits at the server is cancelled; what is on its way is too early or too late for that."""
        if not self._hold.is_lost and self._hold.session.is_running:
            self._hold.bench.cancel(self._hold.session, errors.QueryCanceled("canceled"))

    def wait(self, gen: Generator[Any, Any, RV], interval: float = 0.0, timeout: float | None = None) -> RV:
        hold = self._hold
        fault: Fault | None = None
        if is_on_track():
            fault = hold.line.draw()
            hold.line.travel()
        session = hold.session
        if fault in (Fault.REFUSED, Fault.STRAY):
            raise hold.lose(fault)
        try:
            wants = next(gen)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        talk = _Driving(gen, wants, lambda: bool(session.poll.poll(0)))
        hold.bench.execute(session, talk)
        if hold.is_lost:
            raise psycopg.OperationalError("the server closed the connection")
        self._await_answer(fault)
        if talk.error is not None:
            raise session.refusal or talk.error
        return talk.outcome  # type: ignore[no-any-return]

    def _await_answer(self, fault: Fault | None) -> None:
        hold = self._hold
        if fault is Fault.SLOW:
            hold.line.wait(SLOW_SECONDS_MAX)
        elif fault is Fault.TIMED_OUT:
            hold.line.wait(TIME_OUT_SECONDS_MAX)
        else:
            hold.line.travel()
        if hold.is_lost:
            raise psycopg.OperationalError("the server closed the connection")
        if fault in (Fault.LOST, Fault.TIMED_OUT):
            raise hold.lose(fault)


class _JoinedWire(LentWire):
    """A wire over a session that somebody else holds, within the transaction that it is in."""

    def __init__(self, hold: Hold, address: Address) -> None:
        super().__init__(hold.bench, hold.session, hold.line, preamble_of(address, TIMELESS))
        self._hold = hold

    def detach(self) -> Session | None:
        """Nobody knows what becomes of the commit, so that its run is read again, and other steps of it begin again."""
        self._hold.line.disturb()
        super().detach()
        return self._hold.detach()


class LentSessions(Sessions):
    """See the module."""

    def __init__(
        self, bench: PostgresBench, get: Callable[[], Hold], address: Address, shards: int, now: Callable[[], int]
    ) -> None:
        super().__init__(address, shards, now)
        self._bench = bench
        self._get = get

    def _open(self) -> psycopg.Connection[Any]:
        connection = LentConnection(self._get())
        connection.prepare_threshold = None
        connection.autocommit = True
        return connection

    def _wrap(self, session: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
        return LentConnection(_hold_of(session))

    @contextmanager
    def _join(self, session: psycopg.Connection[Any]) -> Iterator[Wire]:
        wire = _JoinedWire(_hold_of(session), self._address)
        notice_handler = session.pgconn.notice_handler
        try:
            wire.join()
            yield wire
        finally:
            wire.part()
            session.pgconn.notice_handler = notice_handler


def _hold_of(session: psycopg.Connection[Any]) -> Hold:
    assert isinstance(session, LentConnection)
    return session.hold
