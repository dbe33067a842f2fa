"""Deeds: work of the caller's own in a commit's transaction happens if and only if the commit does, and once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import UserDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from keepstep.journal import (
    Commit,
    Committed,
    Deed,
    DeedFailed,
    Fenced,
    InvalidInput,
    NewEvent,
    Overloaded,
    Promise,
    Run,
    TooLarge,
    TransactionTooLong,
)
from keepstep.journal.sqlite import SqliteJournal, open_sqlite
from keepstep.journal.sqlite.deeds import hand
from keepstep.journal.sqlite.deeds.sandbox import own_tables
from tests.journal.scene import (
    WAIT_SECONDS_MAX,
    advance,
    event,
    get,
    lease,
    new_run,
    settle,
    start_owned,
    wait_until,
)
from tests.journal.sqlite.conftest import flusher_of
from tests.journal.sqlite.test_writer import Disk, Driver, io_error


class Shop:
    """A journal whose file has a table of somebody else's, and what deeds do there."""

    def __init__(self, journal: SqliteJournal, file: Path) -> None:
        self.journal = journal
        self.calls: list[str] = []
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("CREATE TABLE effects (what TEXT)")

    def effects(self) -> list[str]:
        return [what for (what,) in self._db.execute("SELECT what FROM effects ORDER BY rowid")]

    def deed(self, what: str, then: Callable[[Any], Any] | None = None, **changes: Any) -> Deed:
        """Leaves one effect, does something else, and is recorded by one event."""

        def do(db: Any) -> tuple[NewEvent]:
            self.calls.append(what)
            db.execute("INSERT INTO effects VALUES (?)", (what,))
            if then is not None:
                then(db)
            return (event(key=what),)

        return Deed(**{"do": do, "seconds_max": 1.0, **changes})

    def submit(self, run: Run, deed: Deed, **changes: Any) -> Promise:
        return self.journal.submit(Commit(run_id=run.run_id, epoch=run.epoch, deed=deed, **changes))

    @asynccontextmanager
    async def busy_with(self, run: Run) -> AsyncIterator[None]:
        """The writer is in the middle of a deed: what is submitted in the meantime travels together."""
        gate = threading.Event()
        first = self.submit(run, self.deed("first", lambda _: gate.wait(WAIT_SECONDS_MAX), seconds_max=20.0))
        await wait_until(lambda: self.calls == ["first"])
        try:
            yield
        finally:
            gate.set()
        await first

    async def events(self, run: Run) -> list[str | None]:
        return [each.key for each in await self.journal.read_events(run.run_id, after_seq=1)]


@pytest.fixture
async def shop(database: Path) -> AsyncIterator[Shop]:
    journal = await open_sqlite(database)
    yield Shop(journal, database)
    await journal.close()


def fail(_: Any) -> None:
    raise LookupError("no luck")


async def test_a_deed_and_its_events_are_one_commit(shop: Shop) -> None:
    run = await start_owned(shop.journal)
    done = await shop.submit(run, shop.deed("a"), first_seq=2)
    assert isinstance(done, Committed)
    assert (done.last_seq, [each.key for each in done.recorded]) == (2, ["a"])
    assert (shop.effects(), await shop.events(run)) == (["a"], ["a"])


async def test_a_deed_that_fails_changes_nothing_and_disturbs_nobody(shop: Shop) -> None:
    run = await start_owned(shop.journal)
    other = await get(shop.journal, (await shop.journal.start(new_run("order-2", lease_id="L"))).run_id)
    good, bad, plain, also_good = await settle(
        shop.submit(run, shop.deed("a"), first_seq=2),
        shop.submit(other, shop.deed("b", fail), first_seq=2),
        advance(shop.journal, other, events=(event(key="plain"),), first_seq=2),
        shop.submit(run, shop.deed("c"), first_seq=3),
    )
    assert isinstance(bad, DeedFailed)
    assert isinstance(bad.__cause__, LookupError)
    assert [each.last_seq for each in (good, plain, also_good)] == [2, 2, 3]
    assert (shop.effects(), shop.calls) == (["a", "c"], ["a", "b", "c"])
    assert (await shop.events(run), await shop.events(other)) == (["a", "c"], ["plain"])


async def test_a_zombies_deed_is_not_even_begun(shop: Shop) -> None:
    run = await start_owned(shop.journal)
    await shop.journal.close_lease("L")
    await shop.journal.open_lease(lease("M"))
    [taken] = await shop.journal.claim_runs("M", 10)
    with pytest.raises(Fenced):
        await shop.submit(run, shop.deed("by the zombie"))
    await shop.submit(taken, shop.deed("by the owner"))
    assert (shop.effects(), shop.calls) == (["by the owner"], ["by the owner"])


async def test_what_a_deed_says_is_bounded_and_undoes_it(shop: Shop) -> None:
    run = await start_owned(shop.journal)

    def say_too_much(db: Any) -> tuple[NewEvent]:
        db.execute("INSERT INTO effects VALUES ('too much')")
        return (event(data=b"x" * 5_000_000),)

    too_much = Deed(do=say_too_much, seconds_max=1.0)
    with pytest.raises(TooLarge):
        await shop.submit(run, too_much)
    assert (shop.effects(), await shop.events(run)) == ([], [])


@pytest.mark.parametrize("happens", [True, False])
async def test_a_commit_of_unknown_outcome_leaves_one_effect(shop: Shop, happens: bool) -> None:
    run = await start_owned(shop.journal)
    await shop.submit(run, shop.deed("before"))

    def commit_and_fail(commit: Callable[[], Any]) -> None:
        if happens:
            commit()
        raise io_error()

    flusher = flusher_of(shop.journal)
    flusher._db = Driver(flusher._db, commit_and_fail)  # type: ignore[assignment]
    await shop.submit(run, shop.deed("a"))
    assert (shop.effects(), await shop.events(run)) == (["before", "a"], ["before", "a"])
    assert shop.calls.count("a") == (1 if happens else 2)


async def test_a_full_disk_delays_a_deed_and_leaves_one_effect(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    run, disk = await start_owned(shop.journal), Disk(shop.journal)
    disk.fill()
    big = shop.journal.submit(Commit(run_id=run.run_id, epoch=run.epoch, events=(event(data=b"x" * 100_000),)))
    done = shop.submit(run, shop.deed("a"))
    await wait_until(lambda: "the disk is full" in caplog.text and len(shop.calls) >= 2)
    assert shop.effects() == []
    disk.empty()
    await asyncio.gather(big, done)
    assert shop.effects() == ["a"]


async def test_a_deed_is_done_again_one_by_one_and_leaves_one_effect(shop: Shop) -> None:
    run = await start_owned(shop.journal)
    async with shop.busy_with(run):
        together = [
            shop.submit(run, shop.deed("a")),
            shop.journal.submit(Commit(run_id=run.run_id, epoch=1, events=(event(key="no text \ud800"),))),
        ]
    done, bad = await settle(*together)
    assert isinstance(bad, UnicodeEncodeError)
    assert done.last_seq == 3
    assert (shop.effects(), shop.calls) == (["first", "a"], ["first", "a", "a"])


async def test_deeds_that_have_no_time_left_travel_with_the_next_flush(shop: Shop) -> None:
    run = await start_owned(shop.journal)
    runs = [
        await get(shop.journal, (await shop.journal.start(new_run(f"o-{n}", lease_id="L"))).run_id) for n in range(4)
    ]
    gate = threading.Event()
    slow = [shop.submit(each, shop.deed(f"slow {n}", lambda _: gate.wait(0.11))) for n, each in enumerate(runs)]
    plain = shop.journal.submit(Commit(run_id=run.run_id, epoch=run.epoch, events=(event(),)))
    bad = shop.journal.submit(Commit(run_id=run.run_id, epoch=1, events=(event(key="no text \ud800"),)))
    await settle(plain, bad)
    assert sum(each.done() for each in slow) < 3
    await asyncio.gather(*slow)
    assert sorted(shop.effects()) == [f"slow {n}" for n in range(4)]


async def test_a_lease_is_renewed_before_a_deed_takes_its_time(shop: Shop) -> None:
    run = await start_owned(shop.journal)
    [before] = await shop.journal.list_leases()
    await shop.submit(run, shop.deed("a"))
    [after] = await shop.journal.list_leases()
    assert after.counter > before.counter


async def test_others_loose_references_do_not_keep_the_store_from_writing(shop: Shop, database: Path) -> None:
    """A reference to one of Keepstep's own tables, which deeds have made matter."""
    run = await start_owned(shop.journal)
    await shop.submit(run, shop.deed("a"))
    db = sqlite3.connect(database, isolation_level=None)
    for name, when in (("at_once", ""), ("at_last", "DEFERRABLE INITIALLY DEFERRED")):
        db.execute(f"CREATE TABLE {name} (run_id TEXT REFERENCES runs (run_id) {when})")
    for number, name in enumerate(("at_once", "at_last")):
        started = await shop.journal.start(new_run(f"mine-{number}", lease_id="L"))
        db.execute(f"INSERT INTO {name} VALUES (?)", (started.run_id,))
        mine = await get(shop.journal, started.run_id)
        await advance(shop.journal, mine, events=(event(),), status="completed")
        purged, done = await settle(
            shop.journal.purge("default", 1 << 62), shop.submit(run, shop.deed(f"beside {name}"))
        )
        assert (purged, isinstance(done, Committed)) == (1, True)
    assert shop.effects() == ["a", "beside at_once", "beside at_last"]


async def test_so_many_threads_that_do_not_come_back_are_enough(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand, "LET_GO_MAX", 2)
    run, gate = await start_owned(shop.journal), threading.Event()
    for n in range(3):
        with pytest.raises(DeedFailed) as failed:
            await shop.submit(run, shop.deed(f"late {n}", lambda _: gate.wait(20), seconds_max=0.05))
        assert isinstance(failed.value.__cause__, TransactionTooLong if n < 2 else Overloaded)
    assert shop.calls == ["late 0", "late 1"]
    gate.set()
    await wait_until(lambda: not any(each.name == "keepstep-deeds" for each in threading.enumerate()))
    await shop.submit(run, shop.deed("in time"))
    assert shop.effects() == ["in time"]


async def test_the_tables_that_are_guarded_are_all_of_the_stores(database: Path) -> None:
    journal = await open_sqlite(database)
    with sqlite3.connect(database) as db:
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    await journal.close()
    assert {name for name in there if not name.startswith("sqlite_")} == own_tables()


async def test_a_commit_with_a_deed_must_expect_something(shop: Shop) -> None:
    with pytest.raises(InvalidInput, match="expects nothing"):
        shop.journal.submit(Commit(run_id="x", deed=shop.deed("a")))
    assert shop.calls == []


async def test_a_deed_reads_and_writes_through_cursors_as_with_sqlite3(shop: Shop) -> None:
    run = await start_owned(shop.journal)
    seen: list[Any] = []

    def read(db: Any) -> None:
        assert db.executemany("INSERT INTO effects VALUES (?)", [("b",), ["c"], ("d",)]).rowcount == 3
        cursor = db.execute("SELECT what FROM effects ORDER BY rowid")
        seen.append([column[0] for column in cursor.description])
        seen.append(cursor.fetchmany())
        cursor.arraysize = 2
        seen.append(cursor.fetchmany())
        seen.append(cursor.fetchmany(5))
        seen.append(cursor.fetchone())
        seen.append(list(db.execute("SELECT what FROM effects WHERE what = :what", Mapped(what="c"))))
        db.row_factory = sqlite3.Row
        seen.append(dict(db.execute("SELECT what FROM effects").fetchone()))
        db.row_factory = lambda cursor, row: (cursor.description[0][0], *row)
        seen.append(db.execute("SELECT what FROM effects").fetchall()[-1])

    await shop.submit(run, shop.deed("a", read))
    assert seen == [
        ["what"], [("a",)], [("b",), ("c",)], [("d",)], None, [("c",)], {"what": "a"}, ("what", "d"),
    ]  # fmt: skip
    assert shop.effects() == ["a", "b", "c", "d"]


class Mapped(UserDict[str, str]):
    """Parameters by name, in a type of somebody's own."""
