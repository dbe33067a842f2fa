"""Store: what a trial is measured on: a file of SQLite, or a database of a PostgreSQL server.

A database is fresh for each trial and gone after it. Both kinds say what the same rows cost without an engine.
"""

from __future__ import annotations

import sqlite3
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from . import raw

FOLDER = Path(".benchmarks")


class Database(ABC):
    """One trial's database. ``folder`` is for whatever else the trial writes."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    @abstractmethod
    def size_bytes(self) -> int:
        """What it takes on disk beyond an empty one."""

    @abstractmethod
    def raw_rows_per_second(self) -> float:
        """Rows inserted by the bare driver, in transactions as big as a group commit of many runs is."""

    @abstractmethod
    def raw_commit_milliseconds(self) -> float:
        """The median time of a transaction with one row, one after another, by the bare driver."""


class Store(ABC):
    """Where databases come from. ``prefix`` begins the keys of the rows that are measured on it."""

    prefix: str

    @abstractmethod
    def database(self) -> AbstractContextManager[Database]:
        """A fresh database, removed afterwards."""


@contextmanager
def trial_folder() -> Iterator[Path]:
    """A folder on a real disk (a temporary one may be memory)."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        yield Path(folder).resolve()


class SqliteDatabase(Database):
    """One file, in a folder with nothing else but what belongs to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keepstep.db"
        super().__init__(f"sqlite:///{self.path}", folder)

    def size_bytes(self) -> int:
        with closing(sqlite3.connect(self.path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what a killed process has left there is counted once
        return sum(each.stat().st_size for each in self.folder.iterdir())

    def raw_rows_per_second(self) -> float:
        return raw.group_committed_rows(self.folder)

    def raw_commit_milliseconds(self) -> float:
        return raw.lone_commit_milliseconds(self.folder)


class SqliteStore(Store):
    """Files, each in a folder of its own."""

    prefix = ""

    @contextmanager
    def database(self) -> Iterator[Database]:
        with trial_folder() as folder:
            yield SqliteDatabase(folder)
