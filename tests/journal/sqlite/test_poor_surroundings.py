"""The SQLite store where its surroundings are poor: no sockets, no rights, damage, and systems that do not tell."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keepstep.journal import Hint, HintKind, NewMessage, NotFound, StoreUnavailable
from keepstep.journal.deciding import ownership
from keepstep.journal.sqlite import open_sqlite, opening, query
from keepstep.journal.sqlite import patience as patience_module
from keepstep.journal.sqlite import peers as peers_module
from keepstep.journal.sqlite.connection import connect_reader
from keepstep.journal.sqlite.filesystem import file_system
from keepstep.journal.sqlite.patience import describe_holder
from keepstep.journal.sqlite.peers import Peers
from keepstep.journal.sqlite.reader import ask
from tests.journal.scene import advance, event, get, lease, new_run, start_owned, wait_until


@pytest.fixture
def file(database: Path) -> Path:
    """An empty file where a database could be: what sockets are named after."""
    database.touch()
    return database


HOLD_A_LOCK = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print(flush=True); input()"


class NoReaderLoop:
    """A loop that cannot watch sockets, as that of Windows."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def add_reader(self, *_: Any) -> None:
        raise NotImplementedError

    remove_reader = add_reader

    def is_closed(self) -> bool:
        return False

    def call_soon_threadsafe(self, *what: Any) -> None:
        self._loop.call_soon_threadsafe(*what)


async def test_a_loop_that_cannot_watch_sockets_hears_by_a_thread(file: Path) -> None:
    heard: list[Hint] = []
    one, other = Peers(file, 1), Peers(file, 2)
    other.listen(NoReaderLoop(), heard.append)  # type: ignore[arg-type]
    one.tell([HintKind.READY, HintKind.INBOX])
    await wait_until(lambda: len(heard) == 2)
    assert [each.kind for each in heard] == [HintKind.READY, HintKind.INBOX]
    one.close()
    other.close()


async def test_what_is_no_hint_is_not_passed_on(file: Path) -> None:
    heard: list[Hint] = []
    one, other = Peers(file, 1), Peers(file, 2)
    other.listen(asyncio.get_running_loop(), heard.append)
    own = one._socket
    directory = one._directory
    assert own is not None
    assert directory is not None
    own.sendto(b"\xff\xfe", str(directory / f"{2:016x}"))
    own.sendto(b"a-hint-of-tomorrow,ready", str(directory / f"{2:016x}"))
    await wait_until(lambda: heard)
    assert [each.kind for each in heard] == [HintKind.READY]
    one.close()
    other.close()


async def test_a_peer_that_cannot_take_more_is_left_alone(file: Path) -> None:
    one, other = Peers(file, 1), Peers(file, 2)
    for _ in range(5_000):  # more than a socket holds, and nobody reads
        one.tell([HintKind.READY])
    heard: list[Hint] = []
    other.listen(asyncio.get_running_loop(), heard.append)
    await wait_until(lambda: heard)
    one.close()
    other.close()


async def test_a_directory_that_was_swept_away_leaves_processes_to_their_polls(file: Path) -> None:
    one = Peers(file, 1)
    directory = one._directory
    assert directory is not None
    (directory / f"{1:016x}").unlink()
    directory.rmdir()
    one.tell([HintKind.READY])
    one.close()


def test_a_directory_that_others_can_enter_is_not_used(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(file.parent))
    private = peers_module._private_directory(file)
    private.chmod(0o777)
    with pytest.raises(PermissionError, match="not a private directory"):
        peers_module._private_directory(file)
    deaf = Peers(file, 1)
    deaf.tell([HintKind.READY])
    deaf.close()


async def test_a_folder_that_takes_no_locks_is_named(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(opening, "Turn", refuse)
    with pytest.raises(StoreUnavailable, match=r"cannot write in this folder \(Read-only file system\)"):
        await open_sqlite(database)


async def test_a_folder_or_a_file_that_may_not_be_written_is_named(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreUnavailable, match="is a folder; name a file in it"):
        await open_sqlite(database.parent)
    await (await open_sqlite(database)).close()
    allowed = os.access

    def forbid(what: Any, mode: int, **options: Any) -> bool:
        return Path(what) not in forbidden and allowed(what, mode, **options)

    monkeypatch.setattr(os, "access", forbid)
    forbidden = [database]
    with pytest.raises(StoreUnavailable, match="cannot be written by this user"):
        await open_sqlite(database)
    forbidden = [database.parent]
    with pytest.raises(StoreUnavailable, match="the folder is read-only for this user"):
        await open_sqlite(database.with_name("another.db"))


def test_a_system_without_a_list_of_mounts_tells_no_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepstep.journal.sqlite.filesystem.MOUNTS", Path("/nowhere/mounts"))
    assert file_system(Path("/")) == ""


def overwrite_pages(database: Path) -> None:
    data = bytearray(database.read_bytes())
    for page in range(3, len(data) // 4096):
        data[page * 4096 : page * 4096 + 200] = b"\xa5" * 200
    database.write_bytes(data)


async def test_a_damaged_database_is_named_when_it_is_opened(database: Path) -> None:
    journal = await open_sqlite(database)
    for n in range(200):
        await journal.start(new_run(f"order-{n}"))
    await journal.close()
    overwrite_pages(database)
    with pytest.raises(StoreUnavailable, match="is damaged"):
        await open_sqlite(database)


def test_a_question_that_is_wrong_is_the_programs_own_error(database: Path) -> None:
    with sqlite3.connect(database) as db, pytest.raises(sqlite3.OperationalError, match="no such table"):
        ask(db, database, lambda db: db.execute("SELECT * FROM missing").fetchall())


async def test_a_history_that_is_too_long_for_one_value_is_read_in_pages(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "ROWS_AT_ONCE", 2)
    journal = await open_sqlite(database)
    run = await start_owned(journal)
    for _ in range(4):
        await advance(journal, run, events=(event(),))
    whole = await journal.load(run.run_id)
    assert [each.seq for each in whole.events] == [1, 2, 3, 4, 5]
    with connect_reader(database) as db:
        assert query._load_large(db, run.run_id) == whole
        with pytest.raises(NotFound):
            query._load_large(db, "nobody")
    await journal.close()


async def test_what_is_kept_of_many_runs_is_forgotten_and_read_again(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepstep.journal.deciding.picture.HEADS_KEPT_MAX", 2)
    journal = await open_sqlite(database)
    run = await start_owned(journal)
    for n in range(5):
        await journal.start(new_run(f"other-{n}", lease_id="L"))
    for _ in range(3):
        await advance(journal, run, events=(event(),))
    assert (await get(journal, run.run_id)).last_seq == 4
    await journal.close()


async def test_commit_ids_are_swept_out_after_an_hour(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepstep.journal.writing.journal.FORGET_COMMIT_IDS_EVERY", 3)
    monkeypatch.setattr("keepstep.journal.deciding.retention.COMMIT_IDS_KEPT_MICROSECONDS", -1)
    journal = await open_sqlite(database)
    run = await start_owned(journal)
    for n in range(4):
        await advance(journal, run, id=f"commit-{n}")
    await wait_until(lambda: _was_swept(journal))
    await journal.close()


async def _was_swept(journal: Any) -> bool:
    return not await journal.was_committed("commit-0")


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not tell who holds locks")
def test_who_holds_the_right_to_write_is_described(database: Path) -> None:
    lock = database.with_name("journal.db-write")
    lock.touch()
    assert describe_holder(lock) == (
        "another process is writing and does not come to an end; it cannot be found from here (it may be in another "
        "container): look for a process that is paused, and continue or kill it"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_LOCK, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    command = " ".join([sys.executable, "-c", HOLD_A_LOCK, str(lock)])
    assert describe_holder(lock) == (
        f"process {holder.pid} ({command}) is writing; if it hangs, kill -9 {holder.pid}, and others take over its work"
    )
    holder.communicate(b"\n")


def test_a_holder_that_has_just_ended_is_no_riddle(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience_module, "holder_of", lambda _: 2**22 + 1)
    assert "(which has just ended) is writing" in describe_holder(database)


def test_a_lock_that_is_no_file_is_held_by_nobody(database: Path) -> None:
    assert patience_module.holder_of(database.with_name("missing")) is None


async def test_what_is_larger_than_one_value_may_be_is_read_in_halves(database: Path) -> None:
    journal = await open_sqlite(database)
    run = await start_owned(journal)
    for n in range(9):
        await advance(journal, run, events=(event(data=bytes([n]) * 5000),))
    await journal.send(NewMessage(run_id=run.run_id, kind="signal", data=b"x"))
    whole = await journal.load(run.run_id)
    with connect_reader(database) as db:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 25_000)
        assert query.read_events(db, run.run_id, 0, 100) == whole.events
        assert query.read_events(db, run.run_id, 3, 4) == whole.events[3:7]
        assert query.load(db, run.run_id) == whole
    await journal.close()


async def test_the_first_commit_of_a_process_sweeps_out_old_commit_ids(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await open_sqlite(database)
    run = await start_owned(before)
    await advance(before, run, id="old")
    await before.close()
    monkeypatch.setattr("keepstep.journal.deciding.retention.COMMIT_IDS_KEPT_MICROSECONDS", -1)
    journal = await open_sqlite(database)
    await journal.open_lease(lease("M"))
    started = await journal.start(new_run("another", lease_id="M"))
    await advance(journal, await get(journal, started.run_id), id="new")
    assert not await journal.was_committed("old")
    await journal.close()


async def test_a_lease_that_was_renewed_after_all_is_not_ended(database: Path) -> None:
    journal = await open_sqlite(database)
    await journal.open_lease(lease("L"))
    [state] = await journal.list_leases()
    assert await journal._put(ownership.end_lease, ("L", state.counter + 1, None)) is False
    assert len(await journal.list_leases()) == 1
    assert await journal._put(ownership.end_lease, ("L", state.counter, None)) is True
    assert await journal.list_leases() == []
    await journal.close()


async def test_who_still_asks_when_the_journal_closes_is_let_go(database: Path) -> None:
    journal = await open_sqlite(database)
    run = await start_owned(journal)
    asking = asyncio.ensure_future(journal.ask(run.run_id, "query", "status", b"", 60))
    await wait_until(lambda: journal.take_asks("L", 1))
    await journal.close()
    [outcome] = await asyncio.gather(asking, return_exceptions=True)
    assert isinstance(outcome, (asyncio.CancelledError, StoreUnavailable))


async def test_another_programs_database_is_named_by_its_path(database: Path) -> None:
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreUnavailable, match=f"^{database} is a SQLite database of another program"):
        await open_sqlite(database)


async def test_of_a_large_database_only_its_small_tables_are_looked_through(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await open_sqlite(database)
    await journal.start(new_run())
    await journal.close()
    monkeypatch.setattr(opening, "QUICK_CHECK_BYTES_MAX", 1)
    again = await open_sqlite(database)
    assert await again.find_run("default", "order-1") is not None
    await again.close()
