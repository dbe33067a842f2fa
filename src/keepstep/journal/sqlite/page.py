"""Page: so many rows as SQLite can join into one value.

A statement that reads returns one row (see ``statements``), and no value of SQLite's may be longer than a billion
bytes. How many rows that is depends on what callers put into them, so whoever reads asks for many, and for half of them
where they were too many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sqlite3 import DataError
from typing import TypeVar

ROWS_AT_ONCE = 4096

Row = TypeVar("Row")
Name = TypeVar("Name")
Place = TypeVar("Place")


def read_pages(
    read: Callable[[Place, int], list[Row]], after: Place, limit: int, place_of: Callable[[Row], Place]
) -> list[Row]:
    """Up to ``limit`` rows behind a place, by pages; ``read`` reads up to so many rows behind a place."""
    rows: list[Row] = []
    size = ROWS_AT_ONCE
    while len(rows) < limit:
        wanted = min(size, limit - len(rows))
        try:
            page = read(after, wanted)
        except DataError:
            if wanted == 1:
                raise
            size = wanted // 2
            continue
        rows += page
        if len(page) < wanted:
            break
        after = place_of(page[-1])
    return rows


def read_named(read: Callable[[Sequence[Name]], list[Row]], names: Sequence[Name]) -> list[Row]:
    """The rows of these names, in halves where they are too many for one page."""
    try:
        return read(names)
    except DataError:
        if len(names) <= 1:
            raise
        half = len(names) // 2
        return read_named(read, names[:half]) + read_named(read, names[half:])
