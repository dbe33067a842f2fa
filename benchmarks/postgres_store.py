"""The store on PostgreSQL: one server for all trials, which the benchmark starts itself, and a database for each.

The server has PostgreSQL's own defaults and what makes it durable; nothing is tuned, for anybody. Its data lie in
``/var/tmp``, which is a disk where ``/tmp`` may be memory and which the server's account can reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from keepstep.testing.postgres import PostgresServer

from . import raw_postgres
from .store import Database, Store, trial_folder

DISK = Path("/var/tmp")


class PostgresDatabase(Database):
    """One database of the server."""

    def __init__(self, server: PostgresServer, name: str, folder: Path) -> None:
        super().__init__(server.create_database(name), folder)
        self.server = server
        self.name = name
        self._empty_bytes = self._bytes()

    def query(self, statement: str) -> str:
        """By ``psql``; a line for each row."""
        return self.server.query(statement, database=self.name)

    def size_bytes(self) -> int:
        return self._bytes() - self._empty_bytes

    def raw_rows_per_second(self) -> float:
        return raw_postgres.group_committed_rows(self.url)

    def raw_commit_milliseconds(self) -> float:
        return raw_postgres.lone_commit_milliseconds(self.url)

    def _bytes(self) -> int:
        return int(self.query("SELECT pg_database_size(current_database())"))


class PostgresStore(Store):
    """``with PostgresStore() as store``: a server that lives as long."""

    prefix = "pg."

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        self.server = PostgresServer(settings=settings, parent=DISK)
        self._numbers = count(1)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.close()

    def describe(self) -> str:
        """Version and the settings that decide what a commit costs."""
        names = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
        settings = ", ".join(f"{name}={self.server.query(f'SHOW {name}')}" for name in names)
        return f"PostgreSQL {self.server.binaries.version} on the same cores; {settings}"

    @contextmanager
    def database(self) -> Iterator[Database]:
        with self.postgres_database() as database:
            yield database

    @contextmanager
    def postgres_database(self) -> Iterator[PostgresDatabase]:
        """A database, with what only PostgreSQL can be asked."""
        name = f"trial_{next(self._numbers)}"
        with trial_folder() as folder:
            try:
                yield PostgresDatabase(self.server, name, folder)
            finally:
                self.server.drop_database(name)
