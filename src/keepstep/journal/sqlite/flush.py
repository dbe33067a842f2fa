"""Flush: a group's way into a SQLite file, in the turn of this process."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Protocol

from keepstep.journal.clock import Clock
from keepstep.journal.deciding.codes import from_json, json_text
from keepstep.journal.deciding.operation import Operation
from keepstep.journal.deed import Deed
from keepstep.journal.errors import Promoted, StoreUnavailable
from keepstep.journal.writing import flush
from keepstep.journal.writing.renewal import Renewals

from . import connection as explained
from . import fence
from . import statements as sql
from .deeds import Performer, Sandbox
from .tables import SqliteTables
from .upkeep import Upkeep

log = logging.getLogger("keepstep.journal")


class Exclusion(Protocol):
    """A context in which no other process writes."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None: ...


class Flusher(flush.Flusher):
    """See ``writing.flush``."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        turn: Exclusion,
        clock: Clock,
        process: int,
        renewals: Renewals,
        upkeep: Upkeep | None = None,
        performer: Performer | None = None,
    ) -> None:
        super().__init__(SqliteTables(connection), clock, renewals)
        self._db = connection
        self._turn = turn
        self._process = process
        (self._identity,) = connection.execute(sql.PROCESS_IDENTITY, (process,)).fetchone()
        self._upkeep = upkeep
        self._sandbox = Sandbox(connection, performer)
        self._picture.perform = self._sandbox.performing
        self._has_written = False
        """Since it looked after the file."""
        self._was_entered = True
        """Whether the process had its row before the flush with this number."""

    def passing_trouble(self, error: Exception) -> str | None:
        return explained.passing_trouble(error)

    def is_damage(self, error: Exception) -> bool:
        return isinstance(error, Promoted) or explained.is_damage(error)

    def flush(self, group: Sequence[Operation], *, one_by_one: bool) -> None:
        deeds = [each.deed for each in group if each.deed is not None]
        for _ in range(2 + len(deeds)):  # each deed can spoil one try, and loose references of others another
            try:
                with self._turn:
                    self._write(group, one_by_one, has_deeds=bool(deeds))
                return
            except flush.TransactionLost:
                self._picture.forget()
            except BaseException as error:
                self._picture.forget()
                refusal = fence.refusal(self._db, error)
                if refusal is not None:
                    raise refusal from error
                if not explained.is_loose_reference(error) or not self._blame(group, deeds):
                    raise
        raise AssertionError("a deed that has failed was performed again")

    def _blame(self, group: Sequence[Operation], deeds: Sequence[Deed]) -> bool:
        """A deed has left a reference to nothing, or somebody else has, while deeds made that matter. Try again?"""
        if len(group) > 1 and deeds:
            plain = [each for each in group if each.deed is None]
            raise flush.Scattered([plain] * bool(plain) + [[each] for each in group if each.deed is not None])
        if self._sandbox.done:
            self._sandbox.done[0].failure = sqlite3.IntegrityError(
                "FOREIGN KEY constraint failed: at the end of the step a deferred reference points to nothing"
            )
            return True
        return self._sandbox.relax()

    def _puts_off(self, deed: Deed) -> bool:
        return self._sandbox.is_tired

    def tidy(self) -> None:
        """Look after the file, where there is one to be looked after."""
        if self._upkeep is None:
            return
        self._upkeep.check_file()
        if not self._has_written:  # what was written was not refused, and so says the same
            fence.check_not_promoted(self._db, self._upkeep.path)
        self._has_written = False
        if self._upkeep.is_log_long():
            with self._turn:
                self._upkeep.fold_log()

    def sign_off(self) -> None:
        """SQLite folds its log in if nobody else has the file open."""
        try:
            with self._turn:
                self._db.execute(sql.DELETE_PROCESS, (self._process,))
        except sqlite3.Error as error:
            log.warning("the journal was closed without signing off: %s", error)
        self._sandbox.close()
        self._db.close()
        self._turn.close()

    def _write(self, group: Sequence[Operation], one_by_one: bool, has_deeds: bool) -> None:
        if self.is_in_doubt and self._has_happened():
            return
        picture, renewals = self._picture, self._renewals
        self.put_off = ()
        self._sandbox.prepare(has_deeds=has_deeds)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            picture.begin(self._clock.now())
            renewing = has_deeds or renewals.is_due()  # a deed may take as long as a lease
            if renewing:
                renewals.renew(self._move_counters)
            if one_by_one:
                self._decide_one_by_one(group)
            else:
                self._decide(group, self._wants_of(group))
            self._number += 1
            self._mark()
        except BaseException:
            self._roll_back()
            raise
        self._commit()
        self._has_written = True
        if renewing:
            renewals.settle()
        picture.end()

    def _move_counters(self, lease_ids: Sequence[str]) -> Collection[str]:
        names = json_text(lease_ids)
        if self._db.execute(sql.RENEW_LEASES, (names,)).rowcount == len(lease_ids):
            return lease_ids
        (known,) = self._db.execute(sql.KNOWN_LEASES, (names,)).fetchone()
        return frozenset(from_json(known))

    def _set_savepoint(self) -> None:
        self._db.execute("SAVEPOINT keepstep_operation")

    def _have_written(self) -> None:
        """It is: a statement ends when it has happened."""

    def _return_to_savepoint(self) -> None:
        self._db.execute("ROLLBACK TO keepstep_operation")

    def _release_savepoint(self) -> None:
        self._db.execute("RELEASE keepstep_operation")

    def _mark(self) -> None:
        """Note the number of the flush; anew, if another process took this one for dead and has removed its row."""
        marked = self._db.execute(sql.MARK_FLUSH, (self._process, self._number))
        self._was_entered = marked.rowcount == 1
        if not self._was_entered:
            self._db.execute(sql.INSERT_PROCESS, (self._process, self._identity, self._number))

    def _commit(self) -> None:
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self.is_in_doubt = True
            self._roll_back()
            if not self._has_happened():
                raise
            log.warning("a COMMIT failed (%s) that had happened nevertheless", error)

    def _has_happened(self) -> bool:
        """Settle the doubt about the last flush, or raise and leave it."""
        row = self._db.execute(sql.LAST_FLUSH, (self._process,)).fetchone()
        if row is None and self._was_entered:
            raise StoreUnavailable(
                "another process took this one for dead and removed its row, so that nobody knows what was written last"
            )
        self.is_in_doubt = False
        return row is not None and bool(row[0] == self._number)

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
