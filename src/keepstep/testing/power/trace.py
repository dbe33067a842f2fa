"""Trace: what SQLite did to its files, in order, and when the store promised what.

A *place* in a trace is a number of operations: place 7 is after the seventh and before the eighth. Power can be cut at
every place. Marks say what had been promised by then:

* ``begin(n)``: transaction n asks SQLite to commit; from this place on it may be found on the disk.
* ``answered(n)``: the store has told its callers that transactions up to n are durable; from this place on transaction
  n must be found on the disk.

Files are known by a number of their own (as inodes are), because a name can come to mean another file.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple


class Create(NamedTuple):
    """A name in the folder now means this file, which is new and empty."""

    name: str
    file: int


class Delete(NamedTuple):
    """The name means no file any more."""

    name: str


class Write(NamedTuple):
    """Bytes handed to the kernel."""

    file: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """The file is cut, or grown by zeros, to this size."""

    file: int
    size: int


class Sync(NamedTuple):
    """An fsync of the file that succeeded."""

    file: int


class FailedSync(NamedTuple):
    """An fsync of the file that failed: the kernel has marked what was not yet written as clean, and forgets it."""

    file: int


class SyncFolder(NamedTuple):
    """An fsync of the folder that succeeded: names are durable."""


Operation = Create | Delete | Write | Truncate | Sync | FailedSync | SyncFolder


class Trace:
    """See the module."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._begun: list[int] = []
        """The place at which transaction n began to commit, n from 1."""
        self._answered: list[int] = []
        """The place at which transaction n was answered for, where it was."""

    @property
    def place(self) -> int:
        """Where the trace stands now."""
        return len(self.operations)

    def add(self, operation: Operation) -> None:
        self.operations.append(operation)

    def begin(self) -> int:
        """The next transaction asks to be committed; its number."""
        self._begun.append(self.place)
        return len(self._begun)

    def answered(self, transaction: int) -> None:
        """Everything up to this transaction is promised."""
        missing = transaction - len(self._answered)
        self._answered += [self.place] * missing

    def promises(self) -> list[int]:
        """The places at which something was answered for."""
        return sorted(set(self._answered))

    def promised_at(self, place: int) -> int:
        """The last transaction that must survive a cut at this place; 0 for none."""
        return bisect_right(self._answered, place)

    def possible_at(self, place: int) -> int:
        """The last transaction that may survive a cut at this place."""
        return bisect_right(self._begun, place)
