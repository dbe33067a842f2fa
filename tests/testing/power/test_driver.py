"""The driver: APSW behaves as ``sqlite3`` does, as far as the store looks at it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from keepstep.testing.power.driver import DriverConnection

Connect = Callable[[Path], Any]


def by_sqlite3(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def by_apsw(path: Path) -> DriverConnection:
    return DriverConnection(apsw.Connection(str(path)))


@pytest.fixture(params=[by_sqlite3, by_apsw])
def connect(request: pytest.FixtureRequest) -> Connect:
    chosen: Connect = request.param
    return chosen


def test_rows_counts_and_transactions(connect: Connect, tmp_path: Path) -> None:
    db = connect(tmp_path / "a.db")
    db.executescript("BEGIN; CREATE TABLE t (a, b); COMMIT;")
    db.execute("BEGIN IMMEDIATE")
    assert db.in_transaction
    assert db.execute("INSERT INTO t VALUES (?1, ?2), (3, NULL)", (1, b"x")).rowcount == 2
    assert db.execute("UPDATE t SET a = :a WHERE b = :b", {"a": 7, "b": b"x"}).rowcount == 1
    db.execute("COMMIT")
    assert not db.in_transaction
    cursor = db.execute("SELECT * FROM t ORDER BY a")
    assert (cursor.fetchone(), cursor.fetchall(), cursor.fetchone()) == ((3, None), [(7, b"x")], None)
    assert list(db.execute("SELECT a FROM t ORDER BY a")) == [(3,), (7,)]
    db.close()


@pytest.mark.parametrize(
    ("provoke", "kind", "code"),
    [
        ("INSERT INTO t VALUES (1)", sqlite3.IntegrityError, sqlite3.SQLITE_CONSTRAINT_UNIQUE),
        ("SELECT zeroblob(2000000000)", sqlite3.DataError, sqlite3.SQLITE_TOOBIG),
        ("no SQL", sqlite3.OperationalError, sqlite3.SQLITE_ERROR),
        ("BEGIN IMMEDIATE", sqlite3.OperationalError, sqlite3.SQLITE_BUSY),
    ],
)
def test_errors_have_their_class_and_code(
    connect: Connect, tmp_path: Path, provoke: str, kind: type[sqlite3.Error], code: int
) -> None:
    path = tmp_path / "a.db"
    db = connect(path)
    db.executescript("CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1); PRAGMA busy_timeout = 0;")
    other = connect(path)
    other.execute("BEGIN IMMEDIATE" if provoke.startswith("BEGIN") else "SELECT 1")
    with pytest.raises(kind) as caught:
        db.execute(provoke)
    assert caught.value.sqlite_errorcode == code
    other.close()
    db.close()


def test_a_file_that_is_no_database_is_told_as_such(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"nonsense" * 1000)
    db = connect(tmp_path / "a.db")
    with pytest.raises(sqlite3.DatabaseError) as caught:
        db.execute("SELECT * FROM sqlite_schema")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_NOTADB
    db.close()
