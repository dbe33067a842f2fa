"""Trouble with the disk under a simulated SQLite store, put between the store and SQLite's statements.

Each try of a flush can fail: before anything is written, when all is written, at COMMIT, or seemingly so, though it
happened; and then the question whether it happened can fail as well. The store's own retries must cope.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NoReturn

import msgspec

from keepstep.journal.sqlite import statements

from .sqlite_lending import LentConnection


class Moment(Enum):
    """When a flush fails."""

    AT_BEGIN = auto()
    BEFORE_COMMIT = auto()
    """Everything is written, and rolled back."""
    AT_COMMIT = auto()
    AFTER_COMMIT = auto()
    """COMMIT reports an error, but it happened."""
    IN_DOUBT = auto()
    """As ``AFTER_COMMIT``, and the first look whether it happened fails, too."""


class Trouble(Enum):
    """With which error."""

    DISK_FULL = ("database or disk is full", sqlite3.SQLITE_FULL)
    IO_ERROR = ("disk I/O error", sqlite3.SQLITE_IOERR)


class FlushFault(msgspec.Struct, frozen=True):
    """What goes wrong with one flush."""

    moment: Moment
    trouble: Trouble = Trouble.IO_ERROR

    def strike(self) -> NoReturn:
        text, code = self.trouble.value
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise error


FailFlush = Callable[[int], FlushFault | None]
"""Asked at each try of a flush, with the number of the try within its process, from 1."""


class FaultyConnection(LentConnection):
    """A writer's connection with trouble by plan."""

    def __init__(
        self,
        raw: sqlite3.Connection,
        take_back: Callable[[sqlite3.Connection], None],
        fail_flush: FailFlush | None = None,
    ) -> None:
        super().__init__(raw, take_back)
        self._fail_flush = fail_flush
        self._tries = 0
        self._fault: FlushFault | None = None
        if fail_flush is not None:
            self._execute, self.execute = self.execute, self._execute_with_trouble

    def _execute_with_trouble(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if statement == "BEGIN IMMEDIATE":
            assert self._fail_flush is not None
            self._tries += 1
            self._fault = self._fail_flush(self._tries)
        if self._fault is None:
            return self._execute(statement, parameters)
        return self._execute_under(self._fault, statement, parameters)

    def _execute_under(self, fault: FlushFault, statement: str, parameters: Any) -> sqlite3.Cursor:
        happens_first = statement == "COMMIT" and fault.moment in (Moment.AFTER_COMMIT, Moment.IN_DOUBT)
        if happens_first:
            self._execute(statement, parameters)
        if happens_first or _STRIKES_AT.get(fault.moment) == statement:
            looks_twice = statement == "COMMIT" and fault.moment is Moment.IN_DOUBT
            self._fault = fault if looks_twice else None
            fault.strike()
        return self._execute(statement, parameters)


_STRIKES_AT = {
    Moment.AT_BEGIN: "BEGIN IMMEDIATE",
    Moment.BEFORE_COMMIT: statements.MARK_FLUSH,
    Moment.AT_COMMIT: "COMMIT",
    Moment.IN_DOUBT: statements.LAST_FLUSH,
}
