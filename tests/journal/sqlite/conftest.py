"""What the tests of the SQLite store are played with: a file, and child processes that work on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keepstep.journal.sqlite import SqliteJournal
from keepstep.journal.sqlite.flush import Flusher
from tests.journal.children import Spawn, children_of


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a real process that runs a function of ``child.py``; killed at the end of the test."""
    with children_of("tests.journal.sqlite.child") as start:
        yield start


def flusher_of(journal: SqliteJournal) -> Flusher:
    """What writes the journal's groups to its file."""
    flusher = journal._writer._flusher
    assert isinstance(flusher, Flusher)
    return flusher
