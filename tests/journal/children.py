"""Children: real processes that work on a test's store, and are killed at the end of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Spawn = Callable[..., "subprocess.Popen[str]"]
"""Starts a process that runs a function of a module, named first, with the arguments that follow."""

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def children_of(module: str) -> Iterator[Spawn]:
    """Start processes that run functions of a module."""
    children: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", module, name, *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"}
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment
        )
        children.append(child)
        return child

    try:
        yield start
    finally:
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


def last_words(child: subprocess.Popen[str]) -> list[str]:
    """What a killed child had still said. ``communicate`` would read past what is in the buffer of ``next_line``."""
    assert child.stdout is not None
    lines = child.stdout.read().splitlines()
    child.wait()
    return lines
