"""Opening a database file: is it one, is it ours, is it whole, can it be written, is its schema known?

What is looked at for damage: files up to ``QUICK_CHECK_BYTES_MAX`` get SQLite's ``quick_check`` in full; larger ones
get it for the small tables that everything depends on, and are checked for having been cut short.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import msgspec

from keepstep.journal.clock import Clock, ClockAnchor, SystemClock
from keepstep.journal.deciding.codes import from_json, json_text, to_json
from keepstep.journal.errors import SchemaTooNew, StoreUnavailable
from keepstep.journal.identifier import IdFactory, uuid7
from keepstep.journal.lease import ProcessIdentity
from keepstep.journal.process import is_surely_dead, this_process
from keepstep.journal.writing.drive import ThreadDrive
from keepstep.journal.writing.renewal import Renewals
from keepstep.journal.writing.writer import Writer

from . import fence, log
from . import statements as sql
from .connection import Synchronous, connect_writer, is_damage, passing_trouble
from .filesystem import check_place
from .flush import Flusher
from .journal import SqliteJournal
from .peers import Peers
from .probes import FileProbes
from .reader import ReaderPool
from .turn import Turn
from .upkeep import Upkeep

APPLICATION_ID = 0x4B505354
"""Marks the file as Keepstep's (``KPST``), as ``file`` and other tools show it."""

QUICK_CHECK_BYTES_MAX = 16 * 1024 * 1024
SMALL_TABLES = ("meta", "leases", "processes", "tasks", "timers")

SQLITE_MIN = (3, 35, 0)


async def open_sqlite(
    path: str | Path,
    *,
    create: bool = True,
    clock: Clock | None = None,
    synchronous: Synchronous = "FULL",
    ids: IdFactory = uuid7,
) -> SqliteJournal:
    """Open the journal in a SQLite file, for the running event loop.

    ``create=False`` refuses a file that does not exist. ``synchronous="NORMAL"`` survives ``kill -9`` but may lose
    the last commits when power fails. Raises ``StoreUnavailable`` with what is wrong and what to do, ``SchemaTooNew``.
    """
    clock = SystemClock() if clock is None else clock
    place, db, turn, process = await asyncio.to_thread(_open, Path(path), create, clock, synchronous)
    probes = FileProbes(place)
    journal = SqliteJournal(clock, ids, ReaderPool(place), Peers(place, process), probes, is_surely_dead, place)
    renewals = Renewals(time.monotonic)
    flusher = Flusher(db, turn, clock, process, renewals, Upkeep(db, place))
    writer = Writer(flusher, renewals, clock, journal.resolve, time.monotonic)
    journal.attach(writer, ThreadDrive(writer))
    return journal


def _open(
    named: Path, create: bool, clock: Clock, synchronous: Synchronous
) -> tuple[Path, sqlite3.Connection, Turn, int]:
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        wanted = ".".join(map(str, SQLITE_MIN))
        raise StoreUnavailable(
            f"this Python brings SQLite {sqlite3.sqlite_version}, and Keepstep needs {wanted} or later; "
            "use another build of Python"
        )
    path = named.expanduser().resolve()  # one file, one pair of locks, by whatever name it is opened
    check_place(path, create)
    try:
        turn = Turn(path)
    except OSError as error:
        raise StoreUnavailable(f"{path}: cannot write in this folder ({error.strerror}); choose another one") from error
    try:
        with turn:
            db, process = _connect(path, clock, synchronous)
    except (sqlite3.Error, *_NONSENSE) as error:
        turn.close()
        raise _explained(path, error) from error
    except OSError as error:
        turn.close()
        raise StoreUnavailable(
            f"{path} cannot be used: its log cannot be synced ({error.strerror}); put that right and try again"
        ) from error
    except StoreUnavailable:
        turn.close()
        raise
    return path, db, turn, process


def _connect(path: Path, clock: Clock, synchronous: Synchronous) -> tuple[sqlite3.Connection, int]:
    """Connect and prepare, in our turn from the first statement on.

    A process that was killed while it made the file has left a transaction to be rolled back, which whoever reads first
    does, under a lock that SQLite does not wait for when the journal mode is changed.
    """
    log.read_from_disk(path)
    db = connect_writer(path, synchronous)
    try:
        prepare(db, path)
        fence.check_not_promoted(db, path)
        FileProbes(path).sweep(lambda: from_json(db.execute(sql.OPEN_LEASES).fetchone()[0]))
        process = secrets.randbits(62)
        register(db, process, clock, this_process(), is_surely_dead)
    except BaseException:
        db.close()
        raise
    return db, process


_NONSENSE = (UnicodeDecodeError, msgspec.DecodeError)
"""What reading raises where sectors of a file were lost and its structure looks whole: text that is none, JSON that is
none. SQLite's own messages can be such text, too: they quote a damaged schema."""


def _explained(path: Path, error: Exception) -> StoreUnavailable:
    if is_damage(error) or isinstance(error, _NONSENSE):
        return StoreUnavailable(
            f"{path} is damaged or not a SQLite database ({error}); restore it from a backup, or name another file"
        )
    trouble = passing_trouble(error) or "SQLite cannot open it"
    return StoreUnavailable(f"{path} cannot be used: {trouble} ({error}); put that right and try again")


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make sure that this is a whole database of ours, in WAL mode, with the newest schema."""
    db.execute("PRAGMA schema_version").fetchone()
    _check_owner(db, path)
    _check_whole(db, path)
    if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise StoreUnavailable(f"{path} lies where SQLite's write-ahead log does not work; move it to a local disk")
    _migrate(db, path)


def _check_owner(db: sqlite3.Connection, path: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and tables:
        raise StoreUnavailable(f"{path} is a SQLite database of another program; name another file")


def _check_whole(db: sqlite3.Connection, path: Path) -> None:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
    if pages * page_bytes <= QUICK_CHECK_BYTES_MAX:
        checks = ["PRAGMA quick_check(1)"]
    else:
        (tables,) = db.execute("SELECT json_group_array(name) FROM sqlite_schema WHERE type = 'table'").fetchone()
        present = msgspec.json.decode(tables, type=list[str])
        checks = [f"PRAGMA quick_check({table})" for table in SMALL_TABLES if table in present]
    for check in checks:
        (found,) = db.execute(check).fetchone()
        if found != "ok":
            raise StoreUnavailable(f"{path} is damaged ({found}); restore it from a backup, or name another file")


def migrations() -> list[str]:
    """The text of each migration; its place in the list, from 1, is the schema version that it leads to."""
    folder = resources.files(__package__) / "migrations"
    return [file.read_text() for file in sorted(folder.iterdir(), key=lambda file: file.name) if file.is_file()]


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    steps = migrations()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise SchemaTooNew(
            f"{path} has schema version {version}, and this Keepstep knows versions up to {len(steps)}; "
            "upgrade this installation"
        )
    if version < len(steps):  # in one transaction: no cut leaves a schema between two versions
        changes = ";\n".join(steps[version:])
        numbers = f"PRAGMA user_version = {len(steps)};\nPRAGMA application_id = {APPLICATION_ID};"
        db.executescript(f"BEGIN IMMEDIATE;\n{changes};\n{numbers}\nCOMMIT;")


def register(
    db: sqlite3.Connection,
    process: int,
    clock: Clock,
    identity: ProcessIdentity,
    is_surely_dead: Callable[[ProcessIdentity], bool],
) -> None:
    """Enter a process under a number that it draws, and agree on engine time with those before it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        _agree_on_time(db, clock)
        for other, body in db.execute(sql.LIST_PROCESSES).fetchall():
            if is_surely_dead(msgspec.json.decode(body, type=ProcessIdentity)):
                db.execute(sql.DELETE_PROCESS, (other,))
        db.execute(sql.INSERT_PROCESS, (process, json_text(identity), 0))
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _agree_on_time(db: sqlite3.Connection, clock: Clock) -> None:
    row = db.execute(sql.READ_META, ("clock",)).fetchone()
    there = None if row is None else msgspec.json.decode(row[0], type=ClockAnchor)
    own = clock.anchor()
    if there is not None and there.boot_id == own.boot_id != "":
        clock.adopt(there)
    else:
        db.execute(sql.WRITE_META, ("clock", to_json(own)))
