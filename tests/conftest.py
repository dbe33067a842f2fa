"""One PostgreSQL server for a whole session of tests, however many processes run them; a fresh database for each test.

The server starts when the first test asks for it. Without xdist it ends with its fixture; with xdist the worker that
is first starts it for all, and it ends when the session's first process does.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401 - else its plugin loads it while a session ends, where CPython 3.11 may fail to
import psycopg
import pytest

from keepstep.testing.postgres import Access, Pooler, PostgresServer, why_no_pooler
from keepstep.testing.postgres.access import USER

_NAMES = count(1)

MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 3 << 30
"""A server's data, and as much write-ahead log as it keeps by default."""

LEFT_BEHIND_MAX = 10_000
"""Objects: so many are looked at in some milliseconds."""

_STARTED: list[PostgresServer] = []
"""Kept, and left to its guardian."""


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A real server with durable settings. It is shared: no test stops it or changes its settings."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        yield _share_server(tmp_path_factory.getbasetemp().parent)
    else:
        with PostgresServer(parent=find_memory()) as server:
            hasten_logins(server)
            yield server


@pytest.fixture(scope="session")
def administration(postgres_server: Access) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's session that stays; a program started for each statement would take longer than most tests."""
    with psycopg.connect(postgres_server.url, autocommit=True) as db:
        yield db


@pytest.fixture
def postgres_url(postgres_server: Access, administration: psycopg.Connection[Any]) -> Iterator[str]:
    """The URL of an empty database that is this test's own."""
    name = f"test_{os.getpid()}_{next(_NAMES)}"
    administration.execute(f'CREATE DATABASE "{name}"'.encode())
    yield postgres_server.url_of(name)
    administration.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="session")
def pooler(postgres_server: Access) -> Iterator[Access]:
    """PgBouncer in transaction mode in front of that server, one for each process of the session."""
    why = why_no_pooler()
    if why is not None:
        pytest.skip(why)
    with Pooler(postgres_server) as made:
        yield made


def find_memory() -> Path | None:
    """Where a server is to be whose machine never loses power: there it waits for no disk. None if there is no room."""
    is_roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN
    return MEMORY if is_roomy else None


def hasten_logins(server: Access) -> None:
    """A password that is hard to guess takes a third of what opening a journal does; before version 16 it stays so."""
    if int(server.binaries.version.partition(".")[0]) >= 16:
        server.query(f"SET scram_iterations = 1; ALTER ROLE {USER} PASSWORD '{server.password}'")


def _share_server(room: Path) -> Access:
    facts = room / "postgres.json"
    with (room / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not facts.exists():
            server = PostgresServer(owner_pid=os.getppid(), parent=find_memory())
            _STARTED.append(server.__enter__())
            hasten_logins(server)
            facts.write_text(json.dumps(server.describe()))
    return Access.described(json.loads(facts.read_text()))


def pytest_collection_finish() -> None:
    """What all tests together have loaded is looked at once and never again: simulations collect garbage often."""
    _put_aside()


def pytest_runtest_setup() -> None:
    """Nor is what tests leave behind, as generators and greenlets of simulated processes that died."""
    if len(gc.get_objects(generation=2)) > LEFT_BEHIND_MAX:
        _put_aside()


def _put_aside() -> None:
    gc.collect()
    gc.freeze()
