"""Flush: a group's way into the database, in one transaction.

The leases of the process are renewed first, then the operations decide one after another on the picture, then all they
have drawn is written. An operation that refuses (``JournalError``) fails alone; it has drawn nothing. Anything else
that is raised has changed nothing, and the flush can be done again: as it was, or *one by one*, each operation behind a
savepoint of its own, so that only a culprit fails.

What raises may nevertheless be a COMMIT that happened. Every group carries its number in the process's own row, and
that row is asked before anything is done again, however long the disk takes to give an answer.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from keepstep.journal.clock import Clock
from keepstep.journal.errors import JournalError, StoreUnavailable
from keepstep.journal.hint import Hint, HintKind

from . import statements as sql
from .connection import is_damage, passing_trouble
from .news import News
from .operation import Operation
from .picture import Picture, Wants
from .renewal import Renewals
from .upkeep import Upkeep

log = logging.getLogger("keepstep.journal")


class Exclusion(Protocol):
    """A context in which no other process writes."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None: ...


class Flusher:
    """The connection of one process's writer, what it knows, and the number of its last flush."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        turn: Exclusion,
        clock: Clock,
        process: int,
        renewals: Renewals,
        upkeep: Upkeep | None = None,
    ) -> None:
        self._db = connection
        self._turn = turn
        self._clock = clock
        self._process = process
        (self._identity,) = connection.execute(sql.PROCESS_IDENTITY, (process,)).fetchone()
        self._renewals = renewals
        self._upkeep = upkeep
        self._picture = Picture(connection)
        self._number = 0
        self._was_entered = True
        """Whether the process had its row before the flush with this number."""
        self.is_in_doubt = False
        """Whether a COMMIT of the flush with this number failed, and nobody knows whether it happened."""

    def flush(self, group: Sequence[Operation], *, one_by_one: bool) -> None:
        """Write a group, or raise and change nothing but what can be found out at the next try with the same group."""
        try:
            with self._turn:
                self._write(group, one_by_one)
        except BaseException:
            self._picture.forget()
            raise

    def hints(self) -> list[Hint]:
        """What the last flush changed, for this process."""
        lost = [Hint(HintKind.LEASE_LOST, lease_id=lease_id) for lease_id in self._renewals.take_lost()]
        return lost + self._picture.news.hints()

    def kinds(self) -> list[HintKind]:
        """What the last flush changed, for others."""
        return self._picture.news.kinds()

    def tidy(self) -> None:
        """Look after the file, where there is one to be looked after. Raises ``StoreUnavailable`` if it is lost."""
        if self._upkeep is None:
            return
        self._upkeep.check_file()
        if self._upkeep.is_log_long():
            with self._turn:
                self._upkeep.fold_log()

    def sign_off(self) -> None:
        """Take this process's row away and let go of the file; SQLite folds its log in if nobody else has it open."""
        try:
            with self._turn:
                self._db.execute(sql.DELETE_PROCESS, (self._process,))
        except sqlite3.Error as error:
            log.warning("the journal was closed without signing off: %s", error)
        self._db.close()
        self._turn.close()

    def _write(self, group: Sequence[Operation], one_by_one: bool) -> None:
        if self.is_in_doubt and self._has_happened():
            return
        picture, renewals = self._picture, self._renewals
        self._db.execute("BEGIN IMMEDIATE")
        try:
            picture.begin(self._clock.now())
            renewing = renewals.is_due()
            if renewing:
                renewals.renew(self._db)
            if one_by_one:
                self._decide_one_by_one(group)
            else:
                self._decide(group)
            self._number += 1
            self._mark()
        except BaseException:
            self._roll_back()
            raise
        self._commit()
        if renewing:
            renewals.settle()
        picture.end()

    def _decide(self, group: Sequence[Operation]) -> None:
        picture = self._picture
        wants = Wants()
        for operation in group:
            operation.error = None
            if operation.want is not None:
                operation.want(wants, operation.argument)
        picture.prefetch(wants)
        for operation in group:
            try:
                operation.outcome = operation.verb(picture, operation.argument)
            except JournalError as refused:
                operation.error = refused
        picture.write()

    def _decide_one_by_one(self, group: Sequence[Operation]) -> None:
        picture, told = self._picture, News()
        for operation in group:
            operation.error = None
            picture.news = News()
            self._db.execute("SAVEPOINT operation")
            try:
                operation.outcome = operation.verb(picture, operation.argument)
                picture.write()
                told.add(picture.news)
            except JournalError as refused:
                operation.error = refused
            except Exception as error:
                if passing_trouble(error) is not None or is_damage(error):
                    raise
                log.error("an operation of the journal failed unexpectedly: %s", error, exc_info=error)
                operation.error = error
                self._db.execute("ROLLBACK TO operation")
                picture.forget()
                picture.begin(picture.now)
            self._db.execute("RELEASE operation")
        picture.news = told

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
