"""Log: what is recovered from the write-ahead log must be on the disk, not only in the kernel's cache.

When a sync fails, Linux marks what it could not write as clean. The bytes can still be read, are on no disk, and no
later sync brings them there. A process that meets this tries its transaction again, which writes the same stretch of
the log anew, and all is well. But if it dies before it can, the next process finds that transaction in the log,
recovers it, and goes on behind it. When power fails then, SQLite stops reading the log at the gap: everything that was
committed behind it, and acknowledged, is gone; and if the log was folded in meanwhile, the database is malformed.

So whoever opens the database syncs the log and has the kernel forget it first. SQLite then reads what the disk has, and
ends with the last transaction that is there in full; one whose sync failed was never acknowledged. Nothing is written,
so nothing is risked, and another process that has the log open only reads it from the disk once more. (Writing the log
over itself would be surer where the kernel does not follow the advice, and would risk a good log in a power cut.)

Where the kernel takes no such advice (macOS), the log is only synced. ``keepstep.testing.power.succession`` tries it.
"""

from __future__ import annotations

import os
from pathlib import Path


def log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def read_from_disk(database: Path) -> None:
    """From now on, who reads the log reads what is on the disk. Raises ``OSError`` where it cannot be synced."""
    try:
        file = os.open(log_of(database), os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        return
    try:
        os.fsync(file)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)
