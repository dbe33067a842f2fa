"""Processes: who descends from a server's first process, and killing all of them at once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable

GONE_SECONDS_MAX = 10.0


def children_of(parent: int) -> list[int]:
    """The living children of a process."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = (line.split() for line in table.splitlines())
    return [int(pid) for pid, ppid in pairs if int(ppid) == parent]


def kill_family(parent: int) -> None:
    """SIGKILL a process and its children, as a power cut would end them: none of them can do anything after.

    The parent is frozen first, so that it has no further child while the children are counted.
    """
    os.kill(parent, signal.SIGSTOP)
    family = [parent, *children_of(parent)]
    for pid in family:
        _signal(pid, signal.SIGKILL)
    wait_until_gone(family[1:])


def _signal(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        pass


def wait_until_gone(pids: Iterable[int]) -> None:
    """Until none of them lives. Raises ``TimeoutError`` where one does after ``GONE_SECONDS_MAX``."""
    deadline = time.monotonic() + GONE_SECONDS_MAX
    left = list(pids)
    while left := [pid for pid in left if _lives(pid)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {left} still live {GONE_SECONDS_MAX:g} s after SIGKILL")
        time.sleep(0.005)


def _lives(pid: int) -> bool:
    """A zombie, whose parent has not yet asked after it, lives no more."""
    asked = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(asked.stdout.strip()) and not asked.stdout.strip().startswith("Z")
