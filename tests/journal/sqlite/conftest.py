"""What the tests of the SQLite store are played with: a file, and child processes that work on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keepstep.journal.sqlite import SqliteJournal
from keepstep.journal.sqlite.flush import Flusher

Spawn = Callable[..., "subprocess.Popen[str]"]

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a real process that runs a function of ``child.py``; killed at the end of the test."""
    children: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.journal.sqlite.child", name, *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"}
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment
        )
        children.append(child)
        return child

    yield start
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.communicate()


def next_line(child: subprocess.Popen[str]) -> str:
    """What the child says next. It must say something."""
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    assert line, "the child process ended early"
    return line


def flusher_of(journal: SqliteJournal) -> Flusher:
    """What writes the journal's groups to its file."""
    flusher = journal._writer._flusher
    assert isinstance(flusher, Flusher)
    return flusher
