"""Turn: which process may write now. A fair lock of two files, which the kernel releases when a process dies.

SQLite's own busy handler polls: under load a process can wait for seconds while others come and go. Here a process
holds ``turn`` while it waits for ``write``, and lets ``turn`` go as soon as it has it. So whoever releases ``write``
and wants it back must first queue for ``turn`` behind the one that waits, and two processes alternate.

A process that is suspended while it has ``write`` keeps it; see ``patience``.

Where there is no ``fcntl`` (Windows), SQLite's busy handler alone keeps writers apart: correct, not fair.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from .patience import patience

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]


class Turn:
    """A context in which this process is the only one that writes.

    A forked child would share the locks and keep them alive beyond its parent's death, so it lets go of them at once.
    """

    def __init__(self, database: Path) -> None:
        _open_turns.add(self)
        self._turn = self._write = -1
        self._write_file = database.with_name(database.name + "-write")
        if fcntl is not None:
            self._turn = _open(database.with_name(database.name + "-turn"))
            self._write = _open(self._write_file)

    def __enter__(self) -> None:
        if fcntl is not None:
            self._take(self._turn)
            self._take(self._write)
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with patience.waiting_for(self._write_file):
                fcntl.flock(descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if fcntl is not None:
            fcntl.flock(self._write, fcntl.LOCK_UN)

    def close(self) -> None:
        for descriptor in (self._turn, self._write):
            if descriptor >= 0:
                os.close(descriptor)
        self._turn = self._write = -1


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)


_open_turns: weakref.WeakSet[Turn] = weakref.WeakSet()


def _close_in_child() -> None:
    for turn in list(_open_turns):
        turn.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
