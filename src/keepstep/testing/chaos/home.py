"""Home: where the databases of rounds are: files of SQLite, or a PostgreSQL server that may get into trouble.

The server is another process (``python -m keepstep.testing.postgres``), because the nursery must have one thread only.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from keepstep.testing.postgres import Access
from keepstep.testing.postgres.access import ServerFailed

PIPE_BYTES = 65536


class Home(Protocol):
    """See the module."""

    is_troubled: bool
    """The database may be away for a while."""

    def url_of(self, folder: Path) -> str:
        """A new database for the round of this folder."""

    def begin_trouble(self) -> None:
        """From now on it may be away."""

    def end_trouble(self) -> None:
        """From now on it is there."""

    def troubles(self) -> int:
        """How often it was in trouble since trouble began."""

    def leave(self, folder: Path, *, is_kept: bool) -> None:
        """The round is over. What is wrong with its database is kept in its folder."""

    def close(self) -> None:
        """No more rounds."""


class SqliteHome:
    """A file in the folder of each round; or one that was named. Nothing befalls files."""

    is_troubled = False

    def __init__(self, url: str | None = None) -> None:
        self._url = url

    def url_of(self, folder: Path) -> str:
        return self._url or f"sqlite:///{folder}/chaos.db"

    def begin_trouble(self) -> None:
        """It is never away."""

    def end_trouble(self) -> None:
        """It was never away."""

    def troubles(self) -> int:
        return 0

    def leave(self, folder: Path, *, is_kept: bool) -> None:
        """It is in the folder."""

    def close(self) -> None:
        """There is nothing to end."""


class PostgresHome:
    """A server for all rounds, and a database for each."""

    def __init__(self, trouble: str, every_seconds: tuple[float, float], seed: int) -> None:
        importlib.import_module("keepstep.journal.postgres")  # by us, before there are lives to import it each
        every = [str(seconds) for seconds in every_seconds]
        self.is_troubled = trouble != "calm"
        self._program = subprocess.Popen(
            [sys.executable, "-m", "keepstep.testing.postgres",
             "--trouble", trouble, "--every", *every, "--seed", str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        self._heard = b""
        self._troubles = 0
        self._access = Access.described(self._hear()["access"])

    def url_of(self, folder: Path) -> str:
        return self._access.create_database(_name_of(folder))

    def begin_trouble(self) -> None:
        self._troubles = 0
        self._tell("storm")

    def end_trouble(self) -> None:
        self._tell("calm")
        while "calm" not in self._hear():
            """A trouble that has passed."""

    def troubles(self) -> int:
        while self._has_more():
            self._hear()
        return self._troubles

    def leave(self, folder: Path, *, is_kept: bool) -> None:
        if is_kept:
            url = self._access.url_of(_name_of(folder))
            (folder / "database.sql").write_text(self._access.run("pg_dump", "--dbname", url))
        self._access.drop_database(_name_of(folder))

    def close(self) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait()

    def _tell(self, what: str) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(f"{what}\n".encode())
        self._program.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        """The next thing that the program says."""
        assert self._program.stdout is not None
        while b"\n" not in self._heard:
            more = os.read(self._program.stdout.fileno(), PIPE_BYTES)
            if not more:
                raise ServerFailed(f"the program of the PostgreSQL server ended with {self._program.wait()}")
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        if "failed" in said:
            raise ServerFailed(said["failed"])
        self._troubles += "trouble" in said
        return said

    def _has_more(self) -> bool:
        assert self._program.stdout is not None
        return b"\n" in self._heard or bool(select.select([self._program.stdout.fileno()], [], [], 0)[0])


def _name_of(folder: Path) -> str:
    return f"{folder.name.replace('-', '_')}_{os.getpid()}"


def is_postgres(url: str) -> bool:
    return urlsplit(url).scheme.startswith("postgres")


def split_schema(url: str) -> tuple[str, str]:
    """A URL for PostgreSQL's own programs and drivers, and the schema that the journal is in."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    schema = options.pop("schema", "keepstep")
    return urlunsplit(parts._replace(query=urlencode(options))), schema


def url_beside(url: str, folder: Path, name: str) -> str:
    """The URL of a journal that does not exist yet: another file in the folder, or another schema of the database."""
    if not is_postgres(url):
        return f"sqlite:///{folder}/{name}.db"
    return f"{url}{'&' if '?' in url else '?'}schema={name.replace('-', '_')}"
