"""Connections to SQLite go from one simulated process to the next as if they were new."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from keepstep.testing.simulation import stores
from keepstep.testing.simulation.simulation import simulate
from keepstep.testing.simulation.sqlite_disk import SqliteDisk
from keepstep.testing.simulation.sqlite_lending import LentConnection, read_content, restore_content
from keepstep.testing.simulation.stores import Shelf, SqliteStore, lie_in


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SqliteDisk]:
    made = SqliteDisk(tmp_path)
    yield made
    made.close()
    assert list(tmp_path.iterdir()) == []


def test_whoever_has_given_a_connection_back_can_do_nothing_with_it(disk: SqliteDisk) -> None:
    raw = disk.lending.lend_writer()
    lent = LentConnection(raw, disk.lending.take_back_writer)
    assert lent.execute("SELECT 1").fetchone() == (1,)
    assert lent.in_transaction is False
    lent.close()
    lent.close()
    assert disk.lending.lend_writer() is raw
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        lent.execute("SELECT 1")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        lent.cursor()


def test_a_connection_that_comes_back_has_nothing_open_enforced_or_authorized(disk: SqliteDisk) -> None:
    raw = disk.lending.lend_writer()
    raw.execute("PRAGMA foreign_keys = ON")
    raw.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
    raw.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_READ else sqlite3.SQLITE_OK)
    raw.execute("BEGIN IMMEDIATE")
    raw.execute("INSERT INTO processes VALUES (7, 'half done', 0)")
    disk.lending.take_back_writer(raw)
    again = disk.lending.lend_writer()
    assert again is raw
    assert not again.in_transaction
    assert again.execute("PRAGMA foreign_keys").fetchone() == (0,)
    assert again.execute("SELECT count(*) FROM processes").fetchone() == (0,)
    disk.lending.take_back_writer(again)


def test_a_reader_is_not_lent_as_a_writer(disk: SqliteDisk) -> None:
    reader = disk.lending.lend_reader()
    disk.lending.take_back_reader(reader)
    writer = disk.lending.lend_writer()
    assert writer is not reader
    assert disk.lending.lend_reader() is reader
    disk.lending.take_back_reader(reader)
    disk.lending.take_back_writer(writer)


def test_a_file_that_is_restored_holds_what_it_held_when_it_was_new(disk: SqliteDisk) -> None:
    db = disk.lending.lend_writer()
    new = read_content(db)
    assert new["meta"]
    assert {"runs", "events", "sqlite_sequence"} <= new.keys()
    db.execute("INSERT INTO leases (lease_id, counter, body) VALUES ('l', 0, x'')")
    db.execute("UPDATE meta SET value = 99 WHERE name = 'log_purged'")
    db.execute("INSERT INTO processes VALUES (7, 'somebody', 0)")
    assert read_content(db) != new
    restore_content(db, new)
    assert read_content(db) == new
    disk.lending.take_back_writer(db)


def test_a_story_is_the_same_on_a_file_that_has_seen_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_shelf", stores._shelf)
    lie_in(tmp_path)
    first = [simulate(seed, "sqlite").digest for seed in (11, 12)]
    again = [simulate(seed, "sqlite").digest for seed in (12, 11)]
    assert again == [*reversed(first)]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_cannot_be_cleared_is_not_used_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    disk = shelf.take()
    with disk.lending.reading() as db:
        db.execute("PRAGMA query_only = OFF")
        db.execute("DROP TABLE effects")
    shelf.put_back(disk)
    other = shelf.take()
    assert other is not disk
    shelf.put_back(other)
    assert shelf.take() is other
    other.close()


def test_what_transactional_steps_wrote_is_read_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_shelf", Shelf(tmp_path))
    store = SqliteStore("seed")
    disk = store._disk
    writer = disk.lending.lend_writer()
    writer.execute("INSERT INTO effects VALUES ('run', 'key', 'receipt')")
    disk.lending.take_back_writer(writer)
    assert store.read_effects() == [("run", "key", "receipt")]
    store.close()
    assert SqliteStore("next").read_effects() == []
    disk.close()
