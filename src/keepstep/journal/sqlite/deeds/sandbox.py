"""Sandbox: lets deeds work within a flush so that they can harm nobody but themselves.

Each is done behind a savepoint, to which everything returns if it fails, or if what it says cannot be recorded. What a
savepoint does not help against:

* It takes too long. Its statement is interrupted; if that was one that writes, SQLite rolls back the whole transaction.
* One of its statements rolls back the whole transaction (``OR ROLLBACK``).
* It leaves a deferred foreign key that is not satisfied, so that COMMIT is refused.

Then the flush is done again, and the deed with a ``failure`` is not performed any more. Whatever others have done in
the same transaction is done again with it: it was rolled back.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

from keepstep.journal.deed import Deed
from keepstep.journal.errors import DeedFailed, StatementRefused, TransactionTooLong
from keepstep.journal.event import NewEvent
from keepstep.journal.writing.flush import TransactionLost

from .connection import LOST, DeedConnection
from .guard import Guard
from .hand import Hand, Late, Performer

SECONDS_A_FLUSH = 0.1
"""After so much time for deeds the others wait for the next flush: other processes and other operations come first."""


class Sandbox:
    """See the module. One for the connection of a writer; costs nothing until the first deed."""

    def __init__(self, db: sqlite3.Connection, performer: Performer | None = None) -> None:
        self._db = db
        self._hand = performer or Hand()
        self._guard: Guard | None = None
        self._enforces = False
        self._seconds = 0.0
        self.done: list[Deed] = []
        """The deeds of this transaction."""

    # around a transaction

    def prepare(self, *, has_deeds: bool) -> None:
        """A transaction is about to begin. Foreign keys can be enforced, or not, only before that."""
        self._seconds = 0.0
        self.done.clear()
        if has_deeds and not self._enforces:
            self._enforce(True)
        if has_deeds and self._guard is None:
            self._guard = Guard(own_tables())
            self._db.set_authorizer(self._guard)

    def relax(self) -> bool:
        """Stop to enforce foreign keys until there are deeds again; False if they were not enforced."""
        was_enforced = self._enforces
        if was_enforced:
            self._enforce(False)
        return was_enforced

    def _enforce(self, wanted: bool) -> None:
        self._db.execute(f"PRAGMA foreign_keys = {'ON' if wanted else 'OFF'}")
        self._enforces = wanted

    @property
    def is_tired(self) -> bool:
        """Enough time has gone by for deeds in this transaction."""
        return self._seconds >= SECONDS_A_FLUSH

    def close(self) -> None:
        self._hand.close()

    # one deed

    @contextmanager
    def performing(self, deed: Deed) -> Iterator[Sequence[NewEvent]]:
        """Perform a deed; what is raised within the context undoes it. Raises ``DeedFailed``, ``TransactionLost``."""
        if deed.failure is not None:
            raise DeedFailed("it has failed before") from deed.failure
        self._db.execute("SAVEPOINT keepstep_deed")
        try:
            events = self._perform(deed)
            yield events
        except TransactionLost:
            raise
        except BaseException:
            self._undo()
            raise
        self._db.execute("RELEASE keepstep_deed")
        self.done.append(deed)

    def _undo(self) -> None:
        self._db.execute("ROLLBACK TO keepstep_deed")
        self._db.execute("RELEASE keepstep_deed")

    def _perform(self, deed: Deed) -> Sequence[NewEvent]:
        assert self._guard is not None
        connection = DeedConnection(self._db, self._guard)
        began = self._hand.monotonic()
        failure: BaseException | None = None
        events: Sequence[NewEvent] = ()
        try:
            events = self._hand.perform(partial(deed.do, connection), deed.seconds_max)
        except Late:
            deed.failure = failure = TransactionTooLong(
                f"it kept the database for more than {deed.seconds_max:g} s and was rolled back; "
                "what takes longer belongs into a step of its own, without transaction=True"
            )
        except BaseException as error:
            failure = error
        connection.end()
        self._seconds += self._hand.monotonic() - began
        if not self._db.in_transaction:
            deed.failure = failure or StatementRefused(LOST)
            raise TransactionLost
        if failure is not None:
            raise DeedFailed(f"{type(failure).__name__}: {failure}") from failure
        return events


@cache
def own_tables() -> frozenset[str]:
    """The tables of the store, as its migrations make them."""
    from keepstep.journal.sqlite.opening import migrations  # which stands above what is below it

    return frozenset(name.lower() for text in migrations() for name in re.findall(r"CREATE TABLE (\w+)", text))
