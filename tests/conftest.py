"""One PostgreSQL server for a whole session of tests, however many processes run them; a fresh database for each test.

The server starts when the first test asks for it. Without xdist it ends with its fixture; with xdist the worker that
is first starts it for all, and it ends when the session's first process does.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import hypothesis  # noqa: F401 - else its plugin loads it while a session ends, where CPython 3.11 may fail to
import pytest

from keepstep.testing.postgres import Access, Pooler, PostgresServer, why_no_pooler

_NAMES = count(1)

_STARTED: list[PostgresServer] = []
"""Kept, and left to its guardian."""


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A real server with durable settings. It is shared: no test stops it or changes its settings."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        yield _share_server(tmp_path_factory.getbasetemp().parent)
    else:
        with PostgresServer() as server:
            yield server


@pytest.fixture
def postgres_url(postgres_server: Access) -> Iterator[str]:
    """The URL of an empty database that is this test's own."""
    name = f"test_{os.getpid()}_{next(_NAMES)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def pooler(postgres_server: Access) -> Iterator[Access]:
    """PgBouncer in transaction mode in front of that server, one for each process of the session."""
    why = why_no_pooler()
    if why is not None:
        pytest.skip(why)
    with Pooler(postgres_server) as made:
        yield made


def _share_server(room: Path) -> Access:
    facts = room / "postgres.json"
    with (room / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not facts.exists():
            server = PostgresServer(owner_pid=os.getppid())
            _STARTED.append(server.__enter__())
            facts.write_text(json.dumps(server.describe()))
    return Access.described(json.loads(facts.read_text()))


def pytest_collection_finish() -> None:
    """What all tests together have loaded is looked at once and never again: simulations collect garbage often."""
    gc.collect()
    gc.freeze()
