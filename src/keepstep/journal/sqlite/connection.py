"""Connections: how the database is opened, and what SQLite's error codes mean to the store."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Literal

Synchronous = Literal["FULL", "NORMAL"]

BUSY_MILLISECONDS = 10_000
WRITER_CACHE_KIB = 32 * 1024
READER_CACHE_KIB = 4 * 1024
READER_VALUE_BYTES_MAX = 64 * 1024 * 1024
"""More than any one row may have, in hex (``limits.COMMIT_BYTES_MAX``): what a thread that reads needs at most."""

CHECKPOINT_PAGES = 4000
"""A checkpoint costs an fsync of the database; 16 MiB of log between two of them is a good bargain."""

LOG_BYTES_KEPT = 32 * 1024 * 1024
"""A log that was longer is cut to this length when it is begun anew."""

_RETRYABLE = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_BUSY: "another program holds the database locked",
    sqlite3.SQLITE_LOCKED: "another program holds the database locked",
    sqlite3.SQLITE_PROTOCOL: "another program holds the database locked",
    sqlite3.SQLITE_CANTOPEN: "a file beside the database cannot be opened",
    sqlite3.SQLITE_READONLY: "the database has become read-only",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
}


def connect_writer(
    path: Path, synchronous: Synchronous | Literal["OFF"], factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """A connection that writes. ``OFF`` is for files that nobody would miss after a power cut."""
    db = _connect(path, factory)
    set_up_writer(db, synchronous)
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that reads, by values of bounded length: whoever reads more reads in pages (``page``)."""
    db = _connect(path)
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, READER_VALUE_BYTES_MAX)
    set_up_reader(db)
    return db


def set_up_writer(db: sqlite3.Connection, synchronous: Synchronous | Literal["OFF"]) -> None:
    _set_up(db, WRITER_CACHE_KIB)
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_KEPT}")
    if sys.platform == "darwin":
        db.execute("PRAGMA fullfsync = ON")
        db.execute("PRAGMA checkpoint_fullfsync = ON")


def set_up_reader(db: sqlite3.Connection) -> None:
    _set_up(db, READER_CACHE_KIB)
    db.execute("PRAGMA query_only = ON")


def _set_up(db: sqlite3.Connection, cache_kib: int) -> None:
    db.execute(f"PRAGMA cache_size = -{cache_kib}")
    db.execute("PRAGMA temp_store = MEMORY")


def _connect(path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    return sqlite3.connect(
        path,
        timeout=BUSY_MILLISECONDS / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
        factory=factory,
    )


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, or 0 for an error of Python's own."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def passing_trouble(error: Exception) -> str | None:
    """What is wrong, in words, if it is the kind of trouble that goes away; None for anything else."""
    if not isinstance(error, sqlite3.Error):
        return None
    return _RETRYABLE.get(primary_code(error))


def is_loose_reference(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY


def is_damage(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
