"""Flush: a group's way into the database, in one transaction. What is the same for every database stands here.

The leases of the process are renewed first, then the operations decide one after another on the picture, then all they
have drawn is written. An operation that refuses (``JournalError``) fails alone; it has drawn nothing. Anything else
that is raised has changed nothing, and the flush can be done again: as it was, or *one by one*, each operation behind a
savepoint of its own, so that only a culprit fails.

What raises may nevertheless be a COMMIT that happened. Every group carries its number in the process's own row, and
that row is asked before anything is done again, however long the database takes to give an answer.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence

from keepstep.journal.clock import Clock
from keepstep.journal.deciding.news import News
from keepstep.journal.deciding.operation import Operation
from keepstep.journal.deciding.picture import Picture, Wants
from keepstep.journal.deciding.tables import Tables
from keepstep.journal.deed import Deed
from keepstep.journal.errors import JournalError
from keepstep.journal.hint import Hint, HintKind

from .renewal import Renewals

log = logging.getLogger("keepstep.journal")


class TransactionLost(Exception):
    """A deed has ended the transaction before its time. What is to be done of it now, is done in another one."""


class Scattered(Exception):
    """A group cannot be written in one transaction; in these parts it can."""

    def __init__(self, parts: Sequence[Sequence[Operation]]) -> None:
        super().__init__(f"{len(parts)} parts")
        self.parts = parts


class Flusher(ABC):
    """One process's way into one database, what it knows of it, and the number of its last flush."""

    put_off: Sequence[Operation] = ()
    """Operations of the last flush that wait for the next one, so that others are not kept waiting by them."""

    def __init__(self, tables: Tables, clock: Clock, renewals: Renewals) -> None:
        self._clock = clock
        self._renewals = renewals
        self._picture = Picture(tables)
        self._number = 0
        self.is_in_doubt = False
        """Whether a COMMIT of the flush with this number failed, and nobody knows whether it happened."""

    # -- what a database says for itself

    @abstractmethod
    def flush(self, group: Sequence[Operation], *, one_by_one: bool) -> None:
        """Write a group, or raise and change nothing but what can be found out at the next try with the same group."""

    @abstractmethod
    def passing_trouble(self, error: Exception) -> str | None:
        """What is wrong, in words, if it is the kind of trouble that goes away; None for anything else."""

    @abstractmethod
    def is_damage(self, error: Exception) -> bool:
        """Whether the database can never be written again."""

    @abstractmethod
    def tidy(self) -> None:
        """Look after the database, about once a second. Raises ``StoreUnavailable`` if it is lost."""

    @abstractmethod
    def sign_off(self) -> None:
        """Take this process's row away and let go of the database."""

    def refusal_of(self, error: Exception) -> JournalError | None:
        """What an error of the database says to the caller whose operation alone it was, if it is his to mend."""
        return None

    def _puts_off(self, deed: Deed) -> bool:
        """Whether the deed is left to the next flush."""
        return False

    def _passes_over(self, operation: Operation) -> bool:
        """Whether an operation is put off without being tried, where all are done one by one."""
        return False

    def _is_held_up(self, operation: Operation, error: Exception) -> bool:
        """Whether that operation alone is put off by what it met."""
        return False

    def _error_of(self, error: Exception) -> Exception:
        """What the caller of the one operation is told that has failed; raises what is not that one's fault."""
        if self.passing_trouble(error) is not None or self.is_damage(error):
            raise error
        refusal = self.refusal_of(error)
        if refusal is None:
            log.error("an operation of the journal failed unexpectedly: %s", error, exc_info=error)
        return refusal or error

    @abstractmethod
    def _set_savepoint(self) -> None: ...

    @abstractmethod
    def _have_written(self) -> None:
        """What an operation has had written is to be there now, or to fail."""

    @abstractmethod
    def _return_to_savepoint(self) -> None: ...

    @abstractmethod
    def _release_savepoint(self) -> None: ...

    # -- the same for all

    def hints(self) -> list[Hint]:
        """What the last flush changed, for this process."""
        lost = [Hint(HintKind.LEASE_LOST, lease_id=lease_id) for lease_id in self._renewals.take_lost()]
        return lost + self._picture.news.hints()

    def kinds(self) -> list[HintKind]:
        """What the last flush changed, for others."""
        return self._picture.news.kinds()

    def _is_put_off(self, operation: Operation, deed: Deed) -> bool:
        if self._puts_off(deed):
            self.put_off = (*self.put_off, operation)
            return True
        return False

    def _wants_of(self, group: Sequence[Operation]) -> Wants:
        wants = Wants()
        for operation in group:
            if operation.want is not None:
                operation.want(wants, operation.argument)
        return wants

    def _decide(self, group: Sequence[Operation], wants: Wants) -> None:
        picture = self._picture
        picture.prefetch(wants)
        for operation in group:
            if operation.deed is not None and self._is_put_off(operation, operation.deed):
                continue
            operation.error = None
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
            if operation.deed is not None and self._is_put_off(operation, operation.deed):
                continue
            if self._passes_over(operation):
                continue
            self._set_savepoint()
            try:
                operation.outcome = operation.verb(picture, operation.argument)
                picture.write()
                self._have_written()
                told.add(picture.news)
            except JournalError as refused:
                operation.error = refused
            except TransactionLost:
                raise
            except Exception as error:
                if not self._is_held_up(operation, error):
                    operation.error = self._error_of(error)
                self._return_to_savepoint()
                picture.forget()
                picture.begin(picture.now)
            self._release_savepoint()
        picture.news = told
