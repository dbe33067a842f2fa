"""A handle of the in-memory store whose process has died, or whose lease is over."""

from __future__ import annotations

import asyncio

import pytest

from keepstep.journal import Commit, Fenced
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.journal.memory.renewal import Renewals
from tests.journal.scene import ManualClock, lease, new_run, start_owned


async def test_what_a_dead_process_submits_is_never_answered_and_never_happens() -> None:
    disk = MemoryDisk()
    journal = MemoryJournal(disk, clock=ManualClock())
    run = await start_owned(journal)
    journal.crash()
    promise = journal.submit(Commit(run_id=run.run_id, epoch=run.epoch))
    starting = asyncio.ensure_future(journal.start(new_run("another")))
    reading = asyncio.ensure_future(journal.read_run(run.run_id))
    for _ in range(10):
        await asyncio.sleep(0)
    assert [each.done() for each in (promise, starting, reading)] == [False] * 3
    assert disk.runs[run.run_id].run.version == run.version
    assert ("default", "another") not in disk.workflows
    for pending in (starting, reading):
        pending.cancel()
    await journal.close()  # which a dead process's handle bears, too


async def test_a_lease_that_is_over_takes_no_asks() -> None:
    journal = MemoryJournal(MemoryDisk(), clock=ManualClock())
    with pytest.raises(Fenced, match="lease L is over; open another"):
        await journal.take_asks("L", 1)


async def test_a_lease_that_is_renewed_no_more_has_a_counter_that_stands() -> None:
    disk, beats = MemoryDisk(), list[int]()
    journal = MemoryJournal(disk, clock=ManualClock())
    await journal.open_lease(lease("L", lease_seconds=0.03))
    renewals = Renewals(disk, lambda: beats.append(disk.leases["L"].counter))
    renewals.begin("L", 0.003)
    assert renewals.lease_ids() == ["L"]
    async with asyncio.timeout(20):
        while len(beats) < 2:
            await asyncio.sleep(0)
    renewals.end("L")
    renewals.end("L")
    assert not renewals.holds("L")
    counted = len(beats)
    await journal.start(new_run())
    assert len(beats) == counted
    await journal.close()
