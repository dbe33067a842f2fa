"""What ``keepstep doctor`` finds out about a SQLite database's file: its place, its room, and whether it is whole."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import click

from keepstep.client.address import sqlite_path
from keepstep.journal import InvalidInput

from .finding import Finding

DISK_FREE_BYTES_MIN = 200 * 1024 * 1024
LOG_BYTES_MAX = 256 * 1024 * 1024
CHECK_BYTES_QUICK = 100 * 1024 * 1024
CHECK_BYTES_MAX = 4 * 1024 * 1024 * 1024
"""Reading a larger file whole takes minutes; SQLite's own tool does that better."""


def file_of(url: str) -> Path | None:
    """The database's file; None where the URL names none."""
    try:
        return sqlite_path(url).expanduser().absolute()
    except InvalidInput:
        return None


def look_at_file(path: Path) -> list[Finding]:
    """Findings about a database that could be opened for writing."""
    from keepstep.journal.sqlite.filesystem import file_system

    size = path.stat().st_size
    kind = file_system(path.parent.resolve())
    where = f", on {kind}" if kind else ""
    found = [Finding("ok", f"database {path}, {_size(size)}{where}, writable"), _room(path), *_log(path)]
    try:
        with sqlite3.connect(path.as_uri() + "?mode=ro", uri=True, timeout=10) as db:
            found += _inside(db, path, size)
        db.close()
    except sqlite3.Error as error:
        found.append(Finding("problem", f"{path} cannot be read ({error})", "restore it from a backup"))
    return found


def _room(path: Path) -> Finding:
    free = shutil.disk_usage(path.parent).free
    if free < DISK_FREE_BYTES_MIN:
        return Finding("problem", f"only {_size(free)} are free on its disk", "make room; runs wait when it is full")
    return Finding("ok", f"{_size(free)} are free on its disk")


def _log(path: Path) -> list[Finding]:
    log = path.with_name(path.name + "-wal")
    if not log.exists() or log.stat().st_size <= LOG_BYTES_MAX:
        return []
    what = f"the write-ahead log has {_size(log.stat().st_size)}"
    return [Finding("warning", what, "another program may be reading the database without an end; close it")]


def _inside(db: sqlite3.Connection, path: Path, size: int) -> list[Finding]:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    found = [Finding("ok", f"schema version {version}")]
    if mode != "wal":
        found.append(Finding("problem", f"its journal mode is {mode}, not wal", "another program changed it; restart"))
    if size > CHECK_BYTES_MAX:
        do = f"sqlite3 {path} 'PRAGMA quick_check'"
        return [*found, Finding("ok", "its integrity was not checked in full, because that takes minutes", do)]
    if size > CHECK_BYTES_QUICK:
        click.echo(f"checking the integrity of {_size(size)}; this takes a while", err=True)
    wrong = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
    if wrong != ["ok"]:
        return [*found, Finding("problem", f"it is damaged: {'; '.join(wrong)}", "restore it from a backup")]
    return [*found, Finding("ok", "its integrity was checked: it is whole")]


def _size(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"
