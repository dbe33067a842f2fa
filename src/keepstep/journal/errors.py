"""The root of every error that Keepstep raises, and the errors of the journal itself."""

from __future__ import annotations


class Error(Exception):
    """Base of every error raised by Keepstep."""

    picture: str = ""
    """Lines for a terminal that show the place, where the error is about a place in something that was typed."""


class JournalError(Error):
    """The journal could not do what was asked."""


class Fenced(JournalError):
    """The writer no longer owns what it tried to change: its lease epoch or task token is stale.

    Nothing was changed. The writer must forget the run or task; its new owner goes on with it.
    """


class Conflict(JournalError):
    """The run is not as the writer expected: another version, or messages it has not seen.

    Nothing was changed. The writer reads the run again and decides anew.
    """


class NotFound(JournalError):
    """No run, task, ask or callback of that name exists."""


class RunClosed(JournalError):
    """The run is closed and takes no more messages."""


class AlreadyStarted(JournalError):
    """A run of this workflow id exists and the start did not allow to attach to it."""


class Overloaded(JournalError):
    """The bounded queue in front of the store is full. Nothing was changed; try again later."""


class AccessDenied(JournalError):
    """A server does not let the caller do that: there is no key, one that counts no longer, or one of a weaker role."""


class InvalidInput(JournalError, ValueError):
    """What was handed in is wrong; the text says what, where, and what to do."""


class DeedFailed(JournalError):
    """The work that a commit carried has failed. ``__cause__`` is what it raised; nothing was changed."""


class TransactionTooLong(JournalError, TimeoutError):
    """A transactional step has kept the database to itself for longer than it may. It was rolled back."""


class StatementRefused(InvalidInput):
    """A transactional step has tried what its connection is not for. It was rolled back."""


class Unsupported(InvalidInput):
    """This store cannot do what was asked; another one can."""


class TooLarge(InvalidInput):
    """A payload, event or history exceeds its documented limit (see ``journal.limits``)."""


class Unreadable(JournalError):
    """Something is sealed by what is not at hand here: a key, a blob, or the place that it was made for.

    Nothing is lost by that: it can be read where the key and the blob are.
    """


class AttributeRefused(InvalidInput):
    """An attribute of a run has a name that is taken, or a value that does not fit its type."""


class PositionGone(JournalError):
    """The subscriber's cursor lies behind what retention has kept."""


class StoreUnavailable(JournalError):
    """The store cannot be used: missing, locked, read-only, full, damaged, or of another version."""


class Promoted(StoreUnavailable):
    """The journal is being moved, or was moved, to another store, which is to be opened instead of this one."""


class SchemaTooNew(StoreUnavailable):
    """The database was written by a newer Keepstep; upgrade this installation."""
