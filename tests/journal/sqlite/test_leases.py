"""Leases as this store keeps them: renewed by its thread, noticed when lost, untouched by clocks that jump."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from keepstep.journal import Fenced, HintKind
from keepstep.journal.sqlite import SqliteJournal, open_sqlite
from keepstep.journal.writing import writer
from keepstep.journal.writing.drive import ThreadDrive
from tests.journal.scene import WAIT_SECONDS_MAX, Ears, ManualClock, advance, event, lease, start_owned, wait_until


def counter(database: Path) -> int:
    db = sqlite3.connect(database)
    (found,) = db.execute("SELECT counter FROM leases").fetchone()
    db.close()
    return int(found)


async def test_a_lease_is_renewed_while_the_event_loop_is_blocked(database: Path) -> None:
    journal = await open_sqlite(database)
    await journal.open_lease(lease(lease_seconds=0.06))
    before, deadline = counter(database), time.monotonic() + WAIT_SECONDS_MAX
    while counter(database) < before + 3:
        assert time.monotonic() < deadline, "the lease was not renewed"
    await journal.close()


async def test_a_lease_shorter_than_the_writers_rest_is_renewed_from_its_opening_on(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CLOCK_CHECK_SECONDS", 1000.0)
    journal = await open_sqlite(database)
    await journal.open_lease(lease(lease_seconds=0.3))
    await wait_until(lambda: counter(database) > 1)
    await journal.close()


async def test_a_lease_that_was_taken_away_is_noticed_by_its_holder(database: Path) -> None:
    holder, other = await open_sqlite(database), await open_sqlite(database)
    ears = Ears(holder)
    run = await start_owned(holder, "L")
    await holder.open_lease(lease("mortal", mortal=True))
    assert await other.reap() == ["mortal"]
    await ears.wait_for(HintKind.LEASE_LOST)
    assert [hint.lease_id for hint in ears.hints if hint.kind is HintKind.LEASE_LOST] == ["mortal"]
    assert (await advance(holder, run, events=(event(),))).last_seq == 2, "its other lease goes on"
    await holder.close()
    await other.close()


async def test_a_lease_whose_row_is_gone_is_noticed_at_its_next_renewal(database: Path) -> None:
    journal = await open_sqlite(database)
    ears = Ears(journal)
    await journal.open_lease(lease(lease_seconds=0.1))
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("DELETE FROM leases")
    db.close()
    await ears.wait_for(HintKind.LEASE_LOST)
    with pytest.raises(Fenced):
        await journal.claim_runs("L", 1)
    await journal.close()


async def test_a_counter_that_stands_still_on_the_takers_own_clock_ends_the_lease(database: Path) -> None:
    clock = ManualClock()
    holder, taker = await open_sqlite(database), await open_sqlite(database, clock=clock)
    run = await start_owned(holder, "L")
    assert await taker.reap() == []
    clock.steady += 999.0
    assert await taker.reap() == []
    clock.steady += 2.0
    assert await taker.reap() == ["L"]
    with pytest.raises(Fenced):
        await advance(holder, run, events=(event(),))
    await holder.close()
    await taker.close()


async def test_a_counter_that_moved_saves_the_lease(database: Path) -> None:
    clock = ManualClock()
    holder, taker = await open_sqlite(database), await open_sqlite(database, clock=clock)
    await holder.open_lease(lease())
    assert await taker.reap() == []
    before = counter(database)
    holder._look_at_leases()
    await wait_until(lambda: counter(database) > before)
    clock.steady += 1001.0
    assert await taker.reap() == []
    await holder.close()
    await taker.close()


async def test_a_store_never_judges_its_own_leases_by_the_clock(database: Path) -> None:
    clock = ManualClock()
    journal = await open_sqlite(database, clock=clock)
    await journal.open_lease(lease())
    assert await journal.reap() == []
    clock.steady += 1_000_000.0
    clock.time += 10**12
    assert await journal.reap() == []
    await journal.close()


async def test_a_wall_clock_that_jumps_is_reported_once(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    journal = await open_sqlite(database, clock=clock)
    ears = Ears(journal)
    clock.wall = -5_000_000
    await ears.wait_for(HintKind.CLOCK_JUMPED)
    clock.wall = 2_000_000
    journal._writer._look_at = 0.0
    journal._look_at_leases()
    await wait_until(lambda: len(ears.hints) == 2)
    jumps = [hint.microseconds for hint in ears.hints if hint.kind is HintKind.CLOCK_JUMPED]
    assert jumps == [-5_000_000, 7_000_000]
    assert caplog.text.count("the wall clock jumped") == 2
    await journal.close()


def test_a_store_whose_event_loop_ended_stops_renewing_its_leases(database: Path) -> None:
    async def open_and_forget() -> SqliteJournal:
        journal = await open_sqlite(database)
        await journal.open_lease(lease(lease_seconds=0.06))
        return journal

    loop = asyncio.new_event_loop()
    journal = loop.run_until_complete(open_and_forget())
    loop.close()
    drive = journal._drive
    assert isinstance(drive, ThreadDrive)
    drive._thread.join(WAIT_SECONDS_MAX)
    assert not drive._thread.is_alive()
