"""Upkeep: what a writer looks after once a second, whatever else it does: the database's file and the log beside it.

*The log.* SQLite folds its write-ahead log into the database when it has 16 MiB, and begins it anew at the next write
for which nobody reads from it. Where somebody always does, it would grow for ever, and every commit would try to fold
it in. So the writer of a log that has become long waits for its readers, for a moment: those that come meanwhile read
what is folded in already. Who reads for longer than that moment is a process that is paused, or another program with
a transaction open; the log then grows on, which is reported, and is folded in when they are gone.

*The file.* A database that is removed, or replaced by a backup, while it is open can still be written by whoever has it
open. Nobody would ever see what is written.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from keepstep.journal.errors import StoreUnavailable

from .connection import BUSY_MILLISECONDS, LOG_BYTES_KEPT, passing_trouble

log = logging.getLogger("keepstep.journal")

FOLD_MILLISECONDS = 250
"""How long the writer waits for readers of a long log."""

REPORT_BYTES = 1024 * 1024 * 1024
"""A log of this length is reported, and once more at each doubling."""


class Upkeep:
    """See the module. ``db`` is the writer's connection to the file."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self.path = path
        self._log_path = path.with_name(f"{path.name}-wal")
        self._file = _identity(path)
        self._was_another_file = False
        self._tolerated_bytes = LOG_BYTES_KEPT
        self._report_bytes = REPORT_BYTES

    def check_file(self) -> None:
        """Raises ``StoreUnavailable`` if two looks in a row have found another file, or none, in place of ours."""
        is_another = _identity(self.path) != self._file
        if is_another and self._was_another_file:
            raise StoreUnavailable(
                f"{self.path} was removed or replaced while it was open; put the right file in place and start again"
            )
        self._was_another_file = is_another

    def is_log_long(self) -> bool:
        size = self._log_bytes()
        if size <= LOG_BYTES_KEPT:
            self._tolerated_bytes, self._report_bytes = LOG_BYTES_KEPT, REPORT_BYTES
        return size > self._tolerated_bytes

    def fold_log(self) -> None:
        """Fold the log in and have it begun anew, unless somebody reads from it for long. To be called in turn."""
        self._db.execute(f"PRAGMA busy_timeout = {FOLD_MILLISECONDS}")
        try:
            (is_busy, *_) = self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        except sqlite3.Error as error:
            if passing_trouble(error) is None:
                raise
            is_busy = True  # the next flush meets the same trouble, and says so
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        self._tolerate(self._log_bytes(), bool(is_busy))

    def _tolerate(self, size: int, is_busy: bool) -> None:
        """Do not try again before the log has grown; one that begins anew is cut by the commit that begins it."""
        self._tolerated_bytes = size + LOG_BYTES_KEPT if is_busy else size
        if is_busy and size >= self._report_bytes:
            self._report_bytes = 2 * size
            log.warning("%s has grown to %d MiB, because somebody reads from it without an end: look for a process "
                        "that is paused, or a program that keeps a transaction open",
                        self._log_path, size // (1024 * 1024))  # fmt: skip

    def _log_bytes(self) -> int:
        try:
            return self._log_path.stat().st_size
        except FileNotFoundError:
            return 0


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
