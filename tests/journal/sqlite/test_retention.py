"""What is removed in time, and how much of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepstep.journal import Commit, Position, Status
from keepstep.journal.deciding import retention
from keepstep.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.scene import ManualClock, event, lease, new_run


async def test_old_commit_ids_are_forgotten_by_processes_that_make_only_a_few(database: Path) -> None:
    clock = ManualClock()

    async def make_one(commit_id: str) -> None:
        journal = await open_sqlite(database, clock=clock)
        started = await journal.start(new_run(commit_id))
        await journal.commit(Commit(run_id=started.run_id, version=1, events=(event(),), id=commit_id))
        await journal.close()

    await make_one("first")
    clock.time += retention.COMMIT_IDS_KEPT_MICROSECONDS + 1
    await make_one("second")
    journal = await open_sqlite(database, clock=clock)
    assert [await journal.was_committed(commit_id) for commit_id in ("first", "second")] == [False, True]
    await journal.close()


async def close_runs(journal: SqliteJournal, events_of_each: list[int]) -> int:
    """Closed runs ``r0``, ``r1``…, and a time after that."""
    await journal.open_lease(lease())
    for n, events in enumerate(events_of_each):
        await journal.start(new_run(f"w{n}", run_id=f"r{n}", lease_id="L"))
        closing = Commit(run_id=f"r{n}", epoch=1, events=(event(),) * (events - 1), status=Status.COMPLETED)
        await journal.commit(closing)
    return journal.clock.now() + 1


async def purge_at_once(journal: SqliteJournal, closed_before: int, limit: int) -> int:
    return int(await journal._put(retention.purge, ("default", closed_before, limit)))


async def test_one_transaction_removes_a_bounded_number_of_events(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PURGE_EVENTS_MAX", 10)
    journal = await open_sqlite(database)
    later = await close_runs(journal, [4, 4, 4, 30, 4, 4, 4])
    assert [await purge_at_once(journal, later, 10) for _ in range(4)] == [3, 1, 3, 0]
    await journal.close()


async def test_runs_that_a_subscriber_holds_back_are_not_all_looked_at(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PURGE_RUNS_PASSED_OVER_MAX", 0)
    journal = await open_sqlite(database)
    later = await close_runs(journal, [2] * 6)
    await journal.save_cursor("slow", Position(0, 4))
    assert await purge_at_once(journal, later, 3) == 2
    assert await purge_at_once(journal, later, 3) == 0
    await journal.save_cursor("slow", Position(0, 12))
    assert await purge_at_once(journal, later, 3) == 3
    await journal.close()
