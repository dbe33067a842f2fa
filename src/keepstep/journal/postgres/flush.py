"""Flush: a group's way into a PostgreSQL schema.

One round trip for steps of runs that the process owns (``tables`` says why that is enough). Two for what else is
ordinary: one begins the transaction, marks the process's own row and locks the runs that the group is about; one writes
everything and commits.

What can come in between, and what happens then:

* *Another process* holds a run, has inserted first, or waits for us in a circle: everything is rolled back and done
  again, a few times at once, then one by one, then with growing pauses (``CONTENTION_TRIES``). Starts that wait too
  long for another's insertion are put off (``held``).
* *The connection breaks.* The next try connects anew, and takes the process's row for its session before anything else.
  From then on no earlier connection of this process can commit: a flush begins by marking that row under its own
  session's number, which fails where another session has it. One that has marked the row and not ended yet is waited
  for. So the number that the row has then tells what happened to a COMMIT whose answer is missing.
* *The server warns at COMMIT* that it stopped waiting for its standby: the group is written there and may not outlive a
  failover. Nobody is told anything yet; taking the session anew is a commit of its own, behind the doubtful one, and
  ends only when the standby has both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

import psycopg
from psycopg import errors, pq

from keepstep.journal.clock import Clock
from keepstep.journal.deciding.change import commit_run
from keepstep.journal.deciding.news import News
from keepstep.journal.deciding.operation import Operation
from keepstep.journal.deciding.ownership import end_lease
from keepstep.journal.deciding.picture import HEADS_KEPT_MAX, Wants
from keepstep.journal.errors import JournalError, StoreUnavailable
from keepstep.journal.writing import flush
from keepstep.journal.writing.renewal import Renewals

from . import connection as explained
from . import statements as sql
from .held import PAUSE_SECONDS, SHORT_WAIT, SHORTEST_WAIT, Held, has_starts
from .pace import REAL, Pace
from .tables import PostgresTables
from .wire import ConnectionLost, Doubt, Wire

log = logging.getLogger("keepstep.journal")

CONTENTION_TRIES = 5
CONTENTION_SECONDS_MAX = 0.02
"""A pause between two of them is random, so that two processes do not meet again."""

RECONNECT_SECONDS_MAX = 0.1
"""The processes of a fleet come back at different moments."""


class StandbyInDoubt(ConnectionLost):
    """COMMIT was answered with a warning."""


class Flusher(flush.Flusher):
    """See ``writing.flush``, and the module."""

    def __init__(
        self,
        tables: PostgresTables,
        connect: Callable[[], Wire],
        clock: Clock,
        process: int,
        identity: str,
        renewals: Renewals,
        upkeep: Callable[[Wire], None],
        pace: Pace = REAL,
    ) -> None:
        super().__init__(tables, clock, renewals)
        self._tables = tables
        self._connect = connect
        self._process = process
        self._identity = identity
        self._upkeep = upkeep
        self._pace = pace
        self._wire: Wire | None = None
        self._session = 0
        self._held = Held(pace)
        self._is_looking = False
        """Whether the flush is about starts that others hold up."""
        self._was_entered = False
        """Whether the process has had a row of its own."""

    # -- what the database says for itself

    def passing_trouble(self, error: Exception) -> str | None:
        return explained.passing_trouble(error)

    def is_damage(self, error: Exception) -> bool:
        return explained.is_damage(error)

    def refusal_of(self, error: Exception) -> JournalError | None:
        return explained.refusal_of(error)

    def flush(self, group: Sequence[Operation], *, one_by_one: bool) -> None:
        others, held = self._held.parts_of(group)
        if others and held:
            raise flush.Scattered((others, held))
        self.put_off = ()
        if held:
            self._flush_held(held)
        else:
            self._flush_against_others(group, one_by_one)

    def _flush_held(self, held: Sequence[Operation]) -> None:
        """Try starts that others hold up, if it is time; until then whatever else comes has its turn."""
        if self._held.is_due():  # and so it is for as long as a look is in doubt
            self._is_looking = True
            try:
                self._flush_against_others(held, one_by_one=True)
            finally:
                self._is_looking = False
            self.put_off = self._held.end()
        else:
            self._flush((), one_by_one=False)
            self._picture.news = News()
            self._pace.sleep(PAUSE_SECONDS)
            self.put_off = held

    def _passes_over(self, operation: Operation) -> bool:
        return self._is_looking and self._held.passes_over(operation)

    def _is_held_up(self, operation: Operation, error: Exception) -> bool:
        if not self._is_looking or not isinstance(error, errors.LockNotAvailable):
            return False
        self._held.note_in_vain(operation)
        return True

    def _flush_against_others(self, group: Sequence[Operation], one_by_one: bool) -> None:
        for tries_left in range(CONTENTION_TRIES, -1, -1):
            try:
                self._flush(group, one_by_one)
            except psycopg.Error as error:
                if not tries_left or not explained.is_contention(error):
                    raise
                if isinstance(error, errors.LockNotAvailable):
                    self._end_stalled()
                    if has_starts(group) and not self._is_looking:
                        self._held.suspect(group)
                        raise flush.Scattered([part for part in self._held.parts_of(group) if part]) from error
                one_by_one |= tries_left == 1
                self._pace.sleep(self._pace.between(0, CONTENTION_SECONDS_MAX))
            else:
                return

    def tidy(self) -> None:
        """Look after the tables; trouble with that is the next flush's to report."""
        if self._wire is None or self._wire.is_lost:
            return
        try:
            self._upkeep(self._wire)
        except psycopg.Error as error:
            self._recover(self._wire)
            if explained.passing_trouble(error) is None:
                log.error("looking after the journal's tables failed: %s", error)

    def sign_off(self) -> None:
        try:
            if self._wire is not None and not self._wire.is_lost:
                self._wire.ask(sql.DELETE_PROCESS, self._process)
        except psycopg.Error as error:
            log.warning("the journal was closed without signing off: %s", error)
        if self._wire is not None:
            self._wire.close()

    def connect(self) -> None:
        """Connect, and make sure that this is the process's only connection that can commit."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None
            self._pace.sleep(self._pace.between(0, RECONNECT_SECONDS_MAX))
        wire = self._connect()
        try:
            self._take_session(wire)
        except BaseException:
            wire.close()
            raise
        self._wire = self._tables.wire = wire

    # -- one flush

    def _flush(self, group: Sequence[Operation], one_by_one: bool) -> None:
        if self._wire is None or self._wire.is_lost or self.is_in_doubt:
            self.connect()
            if self._settle_doubt():
                return
        wire = self._wire
        assert wire is not None
        try:
            self._renew(wire)
            if group:
                self._write(wire, group, one_by_one)
        except errors.InvalidTextRepresentation:  # the row that is marked is not ours any more (MARK_FLUSH)
            self._picture.forget()
            wire.close()
            raise
        except BaseException:
            self._picture.forget()
            self._recover(wire)
            raise

    def _write(self, wire: Wire, group: Sequence[Operation], one_by_one: bool) -> None:
        wants = self._wants_of(group)
        if not one_by_one and self._may_trust(group, wants) and self._write_trusting(wire, group, wants):
            return
        if any(operation.verb is end_lease for operation in group):
            self._end_stalled()
        kept, self._picture.heads = self._picture.heads, {}
        self._begin(wire)
        if self._is_looking:
            self._held.begin()
        if has_starts(group):
            wire.queue(SHORTEST_WAIT if self._is_looking else SHORT_WAIT)
        if one_by_one:
            self._decide_one_by_one(group)
        else:
            self._decide(group, wants)
        self._tables.finish()
        self._commit(wire)
        self._picture.end()
        if len(kept) < HEADS_KEPT_MAX:
            kept.update(self._picture.heads)
            self._picture.heads = kept

    def _may_trust(self, group: Sequence[Operation], wants: Wants) -> bool:
        """Whether the group is only about runs that this process has owned since its last flush."""
        if wants.workflows or wants.arrivals or wants.tasks or not wants.run_ids:
            return False
        if not all(operation.verb is commit_run and operation.deed is None for operation in group):
            return False
        for run_id in wants.run_ids:
            head = self._picture.heads.get(run_id)
            if head is None or head.known is None or (head.inbox_size and run_id in wants.inboxes):
                return False
        return True

    def _write_trusting(self, wire: Wire, group: Sequence[Operation], wants: Wants) -> bool:
        """In one round trip, by the guess that all runs are as they were; whether it was right.

        If not, nothing is written, and nothing is marked: not even a COMMIT whose answer is lost is taken for one that
        has written.
        """
        self._tables.is_trusting = True
        try:
            wire.begin()
            self._tables.verify([self._picture.heads[run_id] for run_id in wants.run_ids])
            self._mark(wire)
            wire.is_guessing = True
            self._decide(group, wants)
            if any(operation.error is not None for operation in group):
                raise Doubt
            self._tables.finish()
            [(verdict, _)] = wire.rows(self._commit(wire)[0])
        except Doubt:
            self._picture.forget()
            wire.roll_back()
            return False
        finally:
            wire.is_guessing = self._tables.is_trusting = False
        assert verdict in ("right", "wrong"), verdict  # and nothing else than VERIFY_HEADS says that
        if verdict == "wrong":
            self._picture.forget()
            return False
        self._picture.end()
        return True

    def _begin(self, wire: Wire) -> None:
        wire.begin()
        self._mark(wire)

    def _mark(self, wire: Wire) -> None:
        self._number += 1
        now = self._clock.now()
        wire.queue(sql.MARK_FLUSH, self._process, self._session, self._number, now)
        self._picture.begin(now)

    def _commit(self, wire: Wire) -> list[pq.abc.PGresult]:
        warnings = wire.warnings
        try:
            results = wire.commit()
        except psycopg.Error as error:
            self.is_in_doubt = error.sqlstate is None or wire.is_lost  # otherwise the server has said that it did not
            raise
        if wire.warnings != warnings:
            self.is_in_doubt = True
            raise StandbyInDoubt("the server warned that its standby may not have what it committed")
        return results

    def _recover(self, wire: Wire) -> None:
        """Leave the transaction that failed; a connection that cannot do that is given up."""
        try:
            wire.roll_back()
        except psycopg.Error:
            wire.close()

    def _end_stalled(self) -> None:
        """Whoever was cut off in the middle of a flush holds what it has locked, until somebody wants it."""
        if self._wire is not None and not self._wire.is_lost:
            self._wire.ask(sql.END_STALLED, explained.WRITER, explained.IDLE_IN_TRANSACTION_MILLISECONDS)

    # -- leases

    def _renew(self, wire: Wire) -> None:
        """In a short transaction of its own, before the group's, which may have to wait for others."""
        if self._renewals.is_due():
            self._renewals.renew(self._move_counters)
            self._renewals.settle()

    def _move_counters(self, lease_ids: Sequence[str]) -> Collection[str]:
        assert self._wire is not None
        return {lease_id for (lease_id,) in self._wire.ask(sql.RENEW_LEASES, lease_ids)}

    # -- after a connection was lost

    def _take_session(self, wire: Wire) -> None:
        self._session = self._pace.draw_number()
        rows = wire.ask(sql.TAKE_SESSION, self._process, self._session, self._clock.now())
        self._flushed = int(rows[0][0]) if rows else None
        if self._flushed is None:
            if self._was_entered and self.is_in_doubt:
                raise StoreUnavailable(
                    "another process took this one for dead and removed its row, "
                    "so that nobody knows what was written last"
                )
            now = self._clock.now()
            wire.ask(sql.INSERT_PROCESS, self._process, self._identity, self._session, self._number, now)
        self._was_entered = True

    def _settle_doubt(self) -> bool:
        """Whether the flush that is in doubt happened."""
        was_in_doubt, self.is_in_doubt = self.is_in_doubt, False
        if was_in_doubt and self._flushed == self._number:
            log.warning("the answer to a COMMIT was lost, which had happened nevertheless")
            return True
        return False

    # -- one by one

    def _set_savepoint(self) -> None:
        self._tables.wire.queue(sql.SAVEPOINT)

    def _return_to_savepoint(self) -> None:
        self._tables.wire.fall_back(sql.RETURN_TO_SAVEPOINT)

    def _have_written(self) -> None:
        self._tables.finish()
        self._tables.wire.exchange()

    def _release_savepoint(self) -> None:
        self._tables.wire.queue(sql.RELEASE_SAVEPOINT)
