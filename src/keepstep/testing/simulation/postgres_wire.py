"""LentWire: the store's own ``Wire`` over a session that is lent, with trouble on the way.

What the store queues is kept here until the exchange, so that all of it travels at one moment or not at all. Then the
request is on its way, is executed (``PostgresBench.execute``), and the answer is on its way; between the three others
go on. A wire that is closed, lost, or whose process has died has no session any more.

Rows of a statement that asks for no order come in a random one: the server promises none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import psycopg
from psycopg import pq

from keepstep.journal.postgres import statements as sql
from keepstep.journal.postgres.statement import Statement
from keepstep.journal.postgres.wire import COMMIT, ConnectionLost, Wire

from .postgres_bench import Pipeline, PostgresBench, Session
from .postgres_faults import (
    HINT_SECONDS_MAX,
    HINTS_LOST,
    SLOW_SECONDS_MAX,
    STRAY_SECONDS_MAX,
    TIME_OUT_SECONDS_MAX,
    Fault,
    Line,
)
from .track import this_track

Outgoing = tuple[Statement, list[bytes | None], bool]
Drained = tuple[list[pq.abc.PGresult], pq.abc.PGresult | None]


class LentWire(Wire):
    """See the module."""

    def __init__(
        self, bench: PostgresBench, session: Session, line: Line | None, preamble: Statement | None = None
    ) -> None:
        """``line`` is None for what strays: nothing more can happen to it."""
        super().__init__(session.db, preamble)
        self._bench = bench
        self._session: Session | None = session
        self._line = line
        self._prepared, self._names = session.prepared, session.names
        self._outgoing: list[Outgoing] = []
        self._refusal: psycopg.Error | None = None
        self._loose: list[pq.abc.PGresult] = []
        """Results of the last exchange whose rows have no order."""
        self._heard: list[str] = []
        self.on_news: Callable[[], None] = _nothing
        session.lose = self._have_lost

    # -- its end

    def close(self) -> None:
        session = self.detach()
        if session is not None:
            self._bench.leave(session)

    def detach(self) -> Session | None:
        """Have nothing to do with the session any more; whoever waits for it here hears that it is lost."""
        session, self._session = self._session, None
        if session is not None:
            for statement in self._fresh:
                session.prepared.pop(statement, None)
            self._pgconn = closed_pgconn()
            self._outgoing, self._queued = [], []
            session.hear = session.lose = None
            if session.waiter is not None:
                session.waiter.wake()
        self.on_news()
        return session

    def _have_lost(self) -> None:
        """The server has ended the session."""
        if self._line is not None:
            self._line.disturb()
        self.detach()

    def _lose(self, what: Fault) -> ConnectionLost:
        self.close()
        return ConnectionLost(f"simulated trouble: {what.name}")

    # -- what is queued

    def _put(self, statement: Statement, encoded: list[bytes | None], wanted: bool) -> None:
        if self._session is None:
            raise ConnectionLost("the connection is closed")
        if statement is sql.END_STALLED:
            encoded = [b"nobody", *encoded[1:]]  # it goes by the server's clock; the bench ends them by the story's
        self._outgoing.append((statement, encoded, wanted))
        self._queued.append(wanted)

    # -- an exchange

    def _exchange(self) -> list[pq.abc.PGresult]:
        statements = [statement for statement, _, wanted in self._outgoing if wanted]
        results = super()._exchange()
        self._loose = [each for one, each in zip(statements, results, strict=True) if not is_ordered(one)]
        return results

    def _drain(self) -> Drained:
        if self._line is None or self._session is None:
            return self._perform()
        fault = self._line.draw()
        self._line.travel()
        self._check()
        if fault is Fault.REFUSED:
            raise self._lose(fault)
        if fault is Fault.STRAY:
            raise self._stray(self._line)
        commits = any(statement is COMMIT for statement, _, _ in self._outgoing)
        done = self._perform()
        self._await_answer(self._line, fault)
        if fault is Fault.WARNED and commits and done[1] is None:
            self.warnings += 1
        return done

    def _await_answer(self, line: Line, fault: Fault | None) -> None:
        """The answer is on its way. Raises ``ConnectionLost`` where it does not arrive."""
        if fault is Fault.SLOW:
            line.wait(SLOW_SECONDS_MAX)
        elif fault is Fault.TIMED_OUT:
            line.wait(TIME_OUT_SECONDS_MAX)
        else:
            line.travel()
        self._check()
        if fault in (Fault.LOST, Fault.TIMED_OUT):
            raise self._lose(fault)

    def _check(self) -> None:
        if self._session is None:
            raise ConnectionLost("the server closed the connection")

    def _stray(self, line: Line) -> ConnectionLost:
        """What is queued is executed by and by, on a session that this process has lost."""
        outgoing = self._outgoing
        session = self.detach()
        if session is not None:
            stray = LentWire(self._bench, session, None)
            stray._outgoing = outgoing
            stray._queued = [wanted for _, _, wanted in outgoing]
            self._bench.strays.begin(stray._arrive_late(line.chance.random() * STRAY_SECONDS_MAX))
        return ConnectionLost(f"simulated trouble: {Fault.STRAY.name}")

    def _arrive_late(self, seconds: float) -> Callable[[], None]:
        def arrive() -> None:
            this_track().sleep(seconds)
            try:
                self._perform()
            except ConnectionLost:
                """The server was away when it arrived."""
            self.close()

        return arrive

    def _perform(self) -> Drained:
        """Have what was queued executed, now."""
        outgoing, self._outgoing = self._outgoing, []
        self._queued.clear()
        for each in outgoing:
            super()._put(*each)
        if self._session is not None:
            self._session.names = self._names
        self._refusal = None
        done = super()._drain()
        if self._session is not None:
            self._refusal = self._session.refusal
            if done[1] is None:
                self._tell(self._session, [statement for statement, _, _ in outgoing])
        return done

    def _receive(self) -> Iterator[pq.abc.PGresult]:
        assert self._session is not None
        talk = Pipeline(self._pgconn)
        self._bench.execute(self._session, talk)
        self._check()
        return iter(talk.results[:-1])

    def _error_of(self, result: pq.abc.PGresult) -> psycopg.Error:
        if self._refusal is not None:
            if self._line is not None:
                self._line.disturb()
            return self._refusal
        return super()._error_of(result)

    # -- rows and hints

    def rows(self, result: pq.abc.PGresult) -> list[tuple[Any, ...]]:
        rows = super().rows(result)
        if len(rows) > 1 and self._line is not None and any(each is result for each in self._loose):
            rows.sort(key=repr)
            self._line.chance.shuffle(rows)
        return rows

    def _tell(self, session: Session, statements: list[Statement]) -> None:
        if any(one.text.startswith(b"LISTEN") for one in statements):
            session.listens, session.hear = True, self._hear
        if sql.NOTIFY in statements:
            self._bench.spread(session)

    def _hear(self, payload: str) -> None:
        if self._line is not None and self._line.chance.random() >= HINTS_LOST:
            self._bench.call_later(self._line.chance.random() * HINT_SECONDS_MAX, self._take_in, payload)

    def _take_in(self, payload: str) -> None:
        self._heard.append(payload)
        self.on_news()

    def notifications(self) -> list[str]:
        self._check()
        heard, self._heard = self._heard, []
        return heard


def connect(bench: PostgresBench, line: Line, kind: str) -> LentWire:
    """What the store's ``connect`` does, on a line. Raises ``psycopg.OperationalError``."""
    check_connecting(bench, line)
    return LentWire(bench, bench.lend(kind), line)


def check_connecting(bench: PostgresBench, line: Line) -> None:
    """Go to the server, and see whether it lets us in."""
    fault = line.draw()
    line.travel()
    if bench.is_away:
        raise psycopg.OperationalError("simulated outage: the database system is starting up")
    if fault not in (None, Fault.SLOW, Fault.WARNED):
        raise psycopg.OperationalError("simulated trouble: sorry, too many clients already")


@cache
def is_ordered(statement: Statement) -> bool:
    """Whether it asks for an order: outside of all parentheses."""
    text, before = statement.text.decode(), ""
    while text != before:
        before, text = text, re.sub(r"\([^()]*\)", "", text)
    return "ORDER BY" in text


@cache
def closed_pgconn() -> pq.abc.PGconn:
    """What a wire has in the place of a session that it has not any more."""
    pgconn = pq.PGconn.connect(b"service=none-of-ours")
    pgconn.finish()
    return pgconn


def _nothing() -> None:
    """Nobody wants to be called."""
