"""What the tests of the PostgreSQL store are played with: journals in an empty database, and a server to break."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from keepstep.journal.postgres import PostgresJournal, open_postgres
from keepstep.journal.postgres.flush import Flusher
from keepstep.journal.postgres.wire import Wire
from keepstep.testing.postgres import PostgresServer

Open = Callable[..., Awaitable[PostgresJournal]]


@pytest.fixture
async def open_journal(postgres_url: str) -> AsyncIterator[Open]:
    """Open a handle on the test's own journal, as another process would; closed at the end of the test."""
    opened: list[PostgresJournal] = []

    async def open_one(options: str = "shards=1", url: str = postgres_url, **more: Any) -> PostgresJournal:
        journal = await open_postgres(f"{url}?{options}", **more)
        opened.append(journal)
        return journal

    yield open_one
    for journal in opened:
        await journal.close()


@pytest.fixture
async def journal(open_journal: Open) -> PostgresJournal:
    return await open_journal()


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that the tests of one module may stop, kill and change."""
    with PostgresServer() as server:
        yield server


def flusher_of(journal: PostgresJournal) -> Flusher:
    """What writes the journal's groups."""
    flusher = journal._writer._flusher
    assert isinstance(flusher, Flusher)
    return flusher


def once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, replacement: Callable[..., Any]) -> None:
    """Replace a method for one call; the replacement gets the original first."""
    original = getattr(owner, name)

    def called(*args: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        return replacement(original, *args)

    monkeypatch.setattr(owner, name, called)


class Standstill:
    """The next flush of any process writes everything, and then stands still before its COMMIT."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._stands, self._goes_on = threading.Event(), threading.Event()
        once(monkeypatch, Wire, "commit", self._stand_still)

    def _stand_still(self, commit: Callable[[Wire], Any], wire: Wire) -> Any:
        results = wire.exchange()
        self._stands.set()
        assert self._goes_on.wait(20)
        return [*results, *commit(wire)]

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._stands.wait, 20)

    def end(self) -> None:
        self._goes_on.set()


def writer_pid(journal: PostgresJournal) -> int:
    """The backend that serves the journal's writer now."""
    return flusher_of(journal)._tables.wire.backend_pid


def terminate(url: str, pid: int) -> None:
    """Cut off one session, and wait until its backend is gone."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
