"""Log: the write-ahead log as a file, made durable once more before anything is built on it.

When a sync fails, Linux marks what it could not write as clean. The bytes can still be read, are on no disk, and no
later sync brings them there. A process that meets this tries its transaction again, which writes the same stretch of
the log anew, and all is well. But if it dies before it can, the next process finds that transaction in the log,
recovers it, and goes on behind it; and when power fails, SQLite stops reading the log at the gap: everything that was
committed behind it, and acknowledged, is gone.

So whoever may be the first to open the database writes the log over itself, byte for byte, and syncs it. Nobody else
writes to it meanwhile, because it is the opener's turn. While another process lives that has the database open, SQLite
recovers nothing, and there is nothing to make sure of. (``keepstep.testing.power.succession`` tries it.)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PART_BYTES = 1024 * 1024


def log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def make_durable(database: Path) -> None:
    """Write the log over itself and sync it. Raises ``OSError``."""
    try:
        file = os.open(log_of(database), os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return
    try:
        _write_over_itself(file)
        _sync(file)
    finally:
        os.close(file)


def _write_over_itself(file: int) -> None:
    while part := os.read(file, PART_BYTES):
        os.lseek(file, -len(part), os.SEEK_CUR)
        while part:
            part = part[os.write(file, part) :]


def _sync(file: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    else:
        os.fsync(file)
