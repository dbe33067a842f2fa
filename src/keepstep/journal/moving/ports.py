"""What a store offers from which a journal moves, and one into which it moves. Everything blocks.

A source is fenced before the first row leaves, and stands still from then on. A target takes pages, each in one
transaction together with the note how far the move has come (``Arrival``), and nobody can open it before it is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from keepstep.journal.clock import ClockAnchor

from .noun import Noun, Row


class Stage(StrEnum):
    """How far a journal has left its store."""

    MOVING = "moving"
    """Nobody has been able to open the target yet."""
    HANDING_OVER = "handing_over"
    """All is there and compared; the target is being opened to others."""
    PROMOTED = "promoted"


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """What the source knows of the move."""

    move: str
    """An id, by which source and target know that they mean the same move."""
    to: str
    """The target's URL, without a password."""
    stage: Stage
    begun_at: int


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What the target knows of a move that has not ended."""

    move: str
    origin: str
    """Where it comes from, for people."""
    moved: dict[str, int]
    """Rows of each noun that are there."""
    noun: str = ""
    """The one that moves now."""
    after: list[Any] | None = None
    """The place of its last row that is there."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal knows beside its rows: the last numbers that it has given out, and its time."""

    last_run: int
    last_n: int
    """The last position in the log."""
    last_arrival: int
    last_task: int
    last_line: int
    log_purged: int
    """How far retention has removed the log."""
    clock: ClockAnchor | None
    """Engine time in the source's last boot."""


class Store(Protocol):
    """What can be compared. All in the source's terms, whatever the store makes of them."""

    def count(self, noun: Noun) -> int: ...

    def rows_of_runs(self, noun: Noun, begin: int, end: int) -> Iterator[Row]:
        """All rows of the runs from ``begin`` to before ``end``, in any order."""
        ...

    def rows(self, noun: Noun) -> Iterator[Row]:
        """All rows of a noun that belongs to no run, in any order."""
        ...


class Source(Store, Protocol):
    """Where a journal moves from."""

    def facts(self) -> Facts: ...

    def page(self, noun: Noun, after: Sequence[Any] | None) -> list[Row]:
        """The next rows behind a place, in the order of the noun's key; none at the end."""
        ...

    def run_numbers(self, after: int, limit: int) -> list[int]:
        """The next so many runs."""
        ...


class Target(Store, Protocol):
    """Where a journal moves to."""

    def put(self, noun: Noun, rows: Sequence[Row], before: Arrival, now: Arrival) -> None:
        """Take a page and note how far the move has come, or neither.

        Raises ``Conflict`` if the move has not come as far as ``before``: somebody else moves the same journal.
        """
        ...

    def settle(self, facts: Facts) -> None:
        """All rows are there. Can be done again."""
        ...
