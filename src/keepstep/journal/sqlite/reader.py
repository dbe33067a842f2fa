"""Reader: asks questions of the database beside the writer, so that reading does not wait for writing.

In WAL mode a reader sees the last committed transaction, in one snapshot per statement.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from keepstep.journal.errors import StoreUnavailable

from .connection import connect_reader, is_damage, passing_trouble

THREADS = 2

T = TypeVar("T")


def ask(connection: sqlite3.Connection, path: Path, question: Callable[[sqlite3.Connection], T]) -> T:
    """Ask now, on this thread."""
    with explained(path):
        return question(connection)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say in words what keeps the database from being read."""
    try:
        yield
    except sqlite3.Error as error:
        trouble = "it is damaged" if is_damage(error) else passing_trouble(error)
        if trouble is None:
            raise
        raise StoreUnavailable(f"{path} cannot be read: {trouble} ({error})") from error


class ReaderPool:
    """A few threads with connections of their own, so that reading does not block the event loop either."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="keepstep-reader")

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, question)

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        with explained(self._path):
            connection = self._connect()
        return ask(connection, self._path, question)

    def _connect(self) -> sqlite3.Connection:
        """This thread's connection. One that cannot be had today, for want of files or memory, may be tomorrow."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            self._local.connection = connection = connect_reader(self._path)
            self._connections.append(connection)
        return connection

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown)
        for connection in self._connections:
            connection.close()
