"""Patience: tells the operator which process keeps all others from writing, and what to do about it.

A process that dies lets go of its turn; the kernel sees to that. A process that is *suspended* in the middle of a flush
(SIGSTOP, a debugger, a paused container) does not, and SQLite has only one writer: nobody can write to the file until
that process goes on or is ended. To break its lock would be to let two processes write at once, should it wake up. So
nothing is taken by force. What is sent waits, leases are not judged (``watch``), and the log names the holder.

Only a process that has to wait pays for this: it has a thread for as long as it waits for turns again and again.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("keepstep.journal")

PATIENCE_SECONDS = 5.0
"""Who waits for so long says so; half a lease by default."""

REPEAT_SECONDS = 60.0
LOOK_SECONDS = 0.5

_STOPPED = {"T": "it is stopped", "t": "it is stopped by a debugger"}


class Patience:
    """All waiting of one process."""

    def __init__(self) -> None:
        self._waiting: dict[object, tuple[Path, float]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def waiting_for(self, lock_file: Path) -> Iterator[None]:
        """The calling thread waits for a turn."""
        waiter, since = object(), time.monotonic()
        with self._lock:
            self._waiting[waiter] = (lock_file, since)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="keepstep-patience", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._waiting[waiter]
            seconds = time.monotonic() - since
            if seconds > PATIENCE_SECONDS:
                log.warning("%s can be written again, after %.1f s", _database(lock_file), seconds)

    def _watch(self) -> None:
        reported: dict[object, float] = {}
        while True:
            time.sleep(LOOK_SECONDS)
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                waiting = dict(self._waiting)
            now = time.monotonic()
            for waiter, (lock_file, since) in waiting.items():
                if now - since > PATIENCE_SECONDS and now - reported.get(waiter, 0.0) > REPEAT_SECONDS:
                    reported[waiter] = now
                    log.error("%s could not be written for %.0f s: %s", _database(lock_file), now - since,
                              describe_holder(lock_file))  # fmt: skip

    def forget(self) -> None:
        """In a forked child: its parent's waiting is not its own, and its parent's thread is not here."""
        self._waiting.clear()
        self._lock = threading.Lock()
        self._thread = None


def _database(lock_file: Path) -> Path:
    return lock_file.with_name(lock_file.name.removesuffix("-write"))


def describe_holder(lock_file: Path) -> str:
    """Which process holds the lock, whether it is stopped, and what to do."""
    pid = holder_of(lock_file)
    if pid is None:
        return (
            "another process is writing and does not come to an end; it cannot be found from here (it may be in "
            "another container): look for a process that is paused, and continue or kill it"
        )
    state, command = _look_at(pid)
    stopped = _STOPPED.get(state)
    if stopped is None:
        return f"process {pid} ({command}) is writing; if it hangs, kill -9 {pid}, and others take over its work"
    return (
        f"process {pid} ({command}) holds the right to write and {stopped}: let it go on (kill -CONT {pid}), or end it "
        f"(kill -9 {pid}), and others take over its work"
    )


def holder_of(lock_file: Path) -> int | None:
    """The process that has locked a file, where the system tells (Linux, within one pid namespace)."""
    try:
        inode = lock_file.stat().st_ino
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    held = re.search(rf"^\d+: FLOCK +\S+ +WRITE +(\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", locks, re.MULTILINE)
    return int(held[1]) if held is not None and held[1] != "0" else None


def _look_at(pid: int) -> tuple[str, str]:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "", "which has just ended"
    return stat[stat.rindex(")") + 2], command or "?"


patience = Patience()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=patience.forget)
