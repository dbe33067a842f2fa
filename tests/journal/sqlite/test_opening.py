"""What ``open_sqlite`` accepts and refuses, and with which words."""

from __future__ import annotations

import fcntl
import sqlite3
from pathlib import Path

import msgspec
import pytest

from keepstep.journal import ClockAnchor, Declaration, Limits, SchemaTooNew, StoreUnavailable, SystemClock
from keepstep.journal.sqlite import connection, filesystem, migrations, open_sqlite, opening
from tests.journal.children import Spawn, next_line
from tests.journal.scene import get, lease, new_run

SQLITE_HEADER = b"SQLite format 3\x00"


def is_there(file: Path) -> bool:
    return file.exists()


def read(file: Path) -> bytes:
    return file.read_bytes()


def write(file: Path, data: bytes) -> None:
    file.write_bytes(data)


async def make(database: Path, runs: int = 1) -> None:
    journal = await open_sqlite(database)
    for i in range(runs):
        await journal.start(new_run(f"order-{i}"))
    await journal.close()


async def test_a_missing_file_is_made_only_where_that_is_asked_for(database: Path) -> None:
    with pytest.raises(StoreUnavailable, match="does not exist; correct the path, or start a worker"):
        await open_sqlite(database, create=False)
    assert not is_there(database)
    await make(database)
    journal = await open_sqlite(database, create=False)
    assert await journal.count_runs("default") == 1
    await journal.close()


async def test_a_sqlite_that_is_too_old_is_named(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    with pytest.raises(StoreUnavailable, match=r"needs 3\.35\.0 or later"):
        await open_sqlite(database)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"the folder .*nowhere does not exist"):
        await open_sqlite(tmp_path / "nowhere" / "journal.db")


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="is a folder"):
        await open_sqlite(tmp_path)


async def test_a_fresh_file_gets_every_migration_and_a_second_opening_none(database: Path) -> None:
    await make(database)
    await make(database)
    db = sqlite3.connect(database)
    assert db.execute("PRAGMA user_version").fetchone() == (len(migrations()),)
    assert db.execute("PRAGMA application_id").fetchone() == (opening.APPLICATION_ID,)
    db.close()


async def test_a_file_of_version_2_gets_queues_and_what_was_held_there_holds_slots(database: Path) -> None:
    """Its processes had no slots, but named who held a task."""
    old = sqlite3.connect(database)
    for number, text in enumerate(migrations()[:2], 1):
        old.executescript(f"{text}; PRAGMA user_version = {number}; PRAGMA application_id = {opening.APPLICATION_ID};")
    old.execute("INSERT INTO leases (lease_id, counter, body) VALUES ('L', 0, ?)", (msgspec.json.encode(lease("L")),))
    old.execute(
        "INSERT INTO runs VALUES (1, 'run-1', 'default', 'held', 'python', 1, 'fulfil', 'q', 0, 0, 1, 1, NULL, 0, 0, "
        "0, 1, 0, NULL, NULL, NULL, x'', x'', '', NULL, NULL)"
    )
    task = "INSERT INTO tasks VALUES (?, 1, 'step', ?, 'gpu', x'', 0, '', 1.0, 0, NULL, 1, NULL, ?, 1)"
    old.executemany(task, [(1, "a", 1), (2, "b", None)])
    old.commit()
    old.close()
    journal = await open_sqlite(database)
    await journal.declare_queues([Declaration(name="gpu", limits=Limits(concurrency=1))])
    await journal.open_lease(lease("M"))
    assert await journal.claim_tasks("M", ["gpu"], ["step"], 10) == []
    await journal.close_lease("L")
    assert [task.key for task in await journal.claim_tasks("M", ["gpu"], ["step"], 10)] == ["a"]
    await journal.close()


async def test_a_file_of_a_newer_schema_is_refused_with_both_versions(database: Path) -> None:
    await make(database)
    newer = len(migrations()) + 7
    db = sqlite3.connect(database)
    db.execute(f"PRAGMA user_version = {newer}")
    db.close()
    with pytest.raises(SchemaTooNew, match=rf"version {newer}, .* up to {len(migrations())}; upgrade"):
        await open_sqlite(database)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(database: Path) -> None:
    write(database, b"customers,orders\n1,2\n" * 100)
    with pytest.raises(StoreUnavailable, match="not a SQLite database"):
        await open_sqlite(database)
    assert read(database).startswith(b"customers")


async def test_a_file_whose_maker_was_killed_in_its_first_transaction_is_rolled_back_and_made(
    database: Path, tmp_path: Path
) -> None:
    torn = tmp_path / "torn.db"
    db = sqlite3.connect(torn, isolation_level=None)
    db.executescript("PRAGMA cache_size = 1; BEGIN; CREATE TABLE filling (data)")
    db.executemany("INSERT INTO filling VALUES (randomblob(?))", [(1000,)] * 2000)
    for ending in ("", "-journal"):
        write(database.with_name(database.name + ending), read(torn.with_name(torn.name + ending)))
    db.close()
    assert not read(database).startswith(SQLITE_HEADER)
    await make(database)
    assert read(database).startswith(SQLITE_HEADER)


async def test_a_header_that_was_torn_while_the_log_was_folded_in_is_taken_from_the_log(
    database: Path, tmp_path: Path
) -> None:
    journal = await open_sqlite(database)
    run_id = (await journal.start(new_run())).run_id
    torn = tmp_path / "torn.db"
    for ending in ("", "-wal"):
        write(torn.with_name(torn.name + ending), read(database.with_name(database.name + ending)))
    await journal.close()
    write(torn, b"\x5a" * 512 + read(torn)[512:])
    recovered = await open_sqlite(torn)
    assert (await get(recovered, run_id)).workflow_id == "order-1"
    await recovered.close()


async def test_a_second_handle_of_a_process_does_not_let_others_believe_that_they_are_alone(
    database: Path, spawn: Spawn
) -> None:
    first = await open_sqlite(database)
    await first.start(new_run("order-0"))
    second = await open_sqlite(database)
    assert next_line(spawn("start_one", database)) == "started"
    assert is_there(database.with_name("journal.db-wal")), "the other process removed a log that is in use"
    run_id = (await first.start(new_run("order-2"))).run_id
    await first.close()
    await second.close()
    again = await open_sqlite(database)
    assert (await get(again, run_id)).workflow_id == "order-2"
    await again.close()


async def test_nothing_of_the_file_is_touched_before_it_is_this_process_s_turn(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[bool] = []

    def connect(path: Path, synchronous: connection.Synchronous) -> sqlite3.Connection:
        with open(f"{path}-write") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                turns.append(False)
            except BlockingIOError:
                turns.append(True)
        return connection.connect_writer(path, synchronous)

    monkeypatch.setattr(opening, "connect_writer", connect)
    await make(database)
    assert turns == [True]


async def test_another_programs_database_is_refused_and_left_alone(database: Path) -> None:
    db = sqlite3.connect(database)
    db.execute("CREATE TABLE invoices (id)")
    db.close()
    with pytest.raises(StoreUnavailable, match="another program"):
        await open_sqlite(database)
    db = sqlite3.connect(database)
    assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("invoices",)]
    db.close()


@pytest.mark.parametrize("checked_in_full", [True, False])
async def test_a_damaged_file_is_refused(
    database: Path, checked_in_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(database, runs=50)
    whole = read(database)
    write(database, whole[:4096] + b"\x5a" * (len(whole) - 4096))
    if not checked_in_full:
        monkeypatch.setattr(opening, "QUICK_CHECK_BYTES_MAX", 0)
    with pytest.raises(StoreUnavailable, match="damaged"):
        await open_sqlite(database)


async def test_a_file_whose_rows_hold_nonsense_is_called_damaged(database: Path) -> None:
    await make(database)
    db = sqlite3.connect(database)
    db.execute("INSERT INTO processes (process, identity, flush) VALUES (1, ?, 0)", ('{"host": \x00',))
    db.commit()
    db.close()
    with pytest.raises(StoreUnavailable, match="damaged"):
        await open_sqlite(database)


async def test_a_file_cut_short_is_refused(database: Path) -> None:
    await make(database, runs=50)
    whole = read(database)
    write(database, whole[: len(whole) // 2])
    with pytest.raises(StoreUnavailable, match="damaged"):
        await open_sqlite(database)


async def test_a_read_only_file_is_refused(spawn: Spawn, tmp_path: Path) -> None:
    open_up(tmp_path)
    database = tmp_path / "journal.db"
    await make(database)
    database.chmod(0o444)
    assert next_line(spawn("open_as_nobody", database)).startswith("StoreUnavailable")


async def test_a_read_only_folder_is_refused(spawn: Spawn, tmp_path: Path) -> None:
    open_up(tmp_path)
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    said = next_line(spawn("open_as_nobody", folder / "journal.db"))
    assert said.startswith("StoreUnavailable")
    assert "folder" in said


async def test_a_folder_that_cannot_be_entered_is_refused(spawn: Spawn, tmp_path: Path) -> None:
    open_up(tmp_path)
    (tmp_path / "locked" / "inner").mkdir(parents=True)
    (tmp_path / "locked").chmod(0o700)
    said = next_line(spawn("open_as_nobody", tmp_path / "locked" / "inner" / "journal.db"))
    assert said.startswith("StoreUnavailable")
    assert "may not enter" in said


def open_up(folder: Path) -> None:
    """Let every user reach what is in pytest's private folders."""
    for place in [folder, *folder.parents]:
        if place.stat().st_mode & 0o005 == 0o005:
            break
        place.chmod(0o755)


async def test_a_network_file_system_is_refused_by_name(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    write(mounts, f"/dev/sda1 / ext4 rw 0 0\nserver:/share {tmp_path} nfs4 rw 0 0\n".encode())
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)
    with pytest.raises(StoreUnavailable, match=r"network file system \(nfs4\).*local disk"):
        await open_sqlite(database)


async def test_a_file_that_another_program_keeps_locked_is_refused(
    database: Path, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(database)
    assert next_line(spawn("lock_outside", database)) == "locked"
    monkeypatch.setattr(connection, "BUSY_MILLISECONDS", 50)
    with pytest.raises(StoreUnavailable, match="another program holds the database locked"):
        await open_sqlite(database)


async def test_later_openers_of_a_boot_adopt_the_first_ones_clock(database: Path) -> None:
    class Fast(SystemClock):
        """A process whose wall clock was an hour ahead when it came up."""

        def __init__(self) -> None:
            super().__init__()
            anchor = self.anchor()
            late = anchor.engine_microseconds + 3_600_000_000
            self.adopt(ClockAnchor(anchor.boot_id, anchor.boot_microseconds, late))

    first = await open_sqlite(database, clock=Fast())
    second = await open_sqlite(database, clock=SystemClock())
    assert abs(second.clock.now() - first.clock.now()) < 60_000_000
    await first.close()
    await second.close()


async def test_closing_folds_the_log_in_and_leaves_one_whole_file(database: Path) -> None:
    journal = await open_sqlite(database)
    run_id = (await journal.start(new_run())).run_id
    await journal.close()
    assert not is_there(database.with_name("journal.db-wal"))
    again = await open_sqlite(database)
    assert (await get(again, run_id)).workflow_id == "order-1"
    await again.close()


async def test_a_closed_journal_says_so(database: Path) -> None:
    journal = await open_sqlite(database)
    await journal.close()
    await journal.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await journal.start(new_run())
    with pytest.raises(StoreUnavailable, match="closed"):
        await journal.count_runs("default")
