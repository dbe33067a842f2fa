"""A process that is suspended in the middle of a flush: others wait, say who it is, and do not blame each other."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keepstep.journal import Commit, HintKind, StoreUnavailable
from keepstep.journal.sqlite import SqliteJournal, open_sqlite, patience
from keepstep.journal.writing import drive, writer
from keepstep.journal.writing.drive import ThreadDrive
from tests.journal.scene import WAIT_SECONDS_MAX, Ears, event, lease, start_owned, wait_until

HOLD_AND_FREEZE = """
import os, signal, sys
from pathlib import Path
from keepstep.journal.sqlite.turn import Turn
with Turn(Path(sys.argv[1])):
    print("held", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(patience, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(writer, "STALL_SECONDS", 0.4)
    monkeypatch.setattr(writer, "CLOCK_CHECK_SECONDS", 0.1)


@asynccontextmanager
async def frozen_writer(database: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is suspended while it has the right to write."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD_AND_FREEZE, str(database), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"held\n"

        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def counters(journal: SqliteJournal) -> list[int]:
    return [state.counter for state in sorted(await journal.list_leases(), key=lambda each: each.lease.lease_id)]


def said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return any(words in record.getMessage() for record in caplog.records)


async def test_whoever_waits_names_the_frozen_process_and_goes_on_when_it_does(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "keepstep.journal")
    journal = await open_sqlite(database)
    run = await start_owned(journal)
    async with frozen_writer(database) as child:
        writing = asyncio.ensure_future(journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, events=(event(),))))

        async def is_named() -> bool:
            return said(caplog, f"kill -CONT {child.pid}" if sys.platform == "linux" else "could not be written")

        await wait_until(is_named)
        assert not writing.done()
        assert (await journal.read_run(run.run_id)) is not None, "whoever only reads does not wait"
        os.kill(child.pid, signal.SIGCONT)
        assert (await writing).last_seq == 2
        assert said(caplog, "can be written again")
    await journal.close()


async def test_a_frozen_process_that_is_killed_lets_all_others_go_on(database: Path) -> None:
    journal = await open_sqlite(database)
    run = await start_owned(journal)
    async with frozen_writer(database) as child:
        writing = asyncio.ensure_future(journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, events=(event(),))))
        child.kill()
        assert (await writing).last_seq == 2
    await journal.close()


async def test_a_store_can_be_closed_while_a_frozen_process_keeps_it_from_writing(
    database: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "CLOSE_SECONDS_MAX", 0.05)
    monkeypatch.setattr(drive, "JOIN_SECONDS_MAX", 0.05)
    journal = await open_sqlite(database)
    run = await start_owned(journal)
    commit = Commit(run_id=run.run_id, epoch=run.epoch, events=(event(),))
    async with frozen_writer(database) as child:
        submitted = [journal.submit(commit)]
        await wait_until(lambda: bool(the_thread(journal)._group))
        submitted.append(journal.submit(commit))
        await journal.close()
        for each in submitted:
            with pytest.raises(StoreUnavailable, match="may or may not be written"):
                await each
        assert said(caplog, "leases were left open")
        child.kill()
        the_thread(journal)._thread.join(WAIT_SECONDS_MAX)
    assert not the_thread(journal)._thread.is_alive(), "the writer comes to its end once it can"


def the_thread(journal: SqliteJournal) -> ThreadDrive:
    assert isinstance(journal._drive, ThreadDrive)
    return journal._drive


async def test_leases_that_nobody_could_renew_are_not_taken_from_their_owners(database: Path) -> None:
    lease_seconds = 0.6
    journals = [await open_sqlite(database) for _ in range(2)]
    ears = [Ears(journal) for journal in journals]
    for n, journal in enumerate(journals):
        await journal.open_lease(lease(f"L{n}", lease_seconds=lease_seconds))

    async def judge(journal: SqliteJournal) -> None:
        while True:
            assert await journal.reap() == []
            await asyncio.sleep(0.01)

    judging = [asyncio.ensure_future(judge(journal)) for journal in journals]
    loop = asyncio.get_running_loop()
    async with frozen_writer(database) as child:
        frozen_at = loop.time()

        async def long_enough() -> bool:
            return loop.time() - frozen_at > 4 * lease_seconds

        await wait_until(long_enough)
        before = await counters(journals[0])
        os.kill(child.pid, signal.SIGCONT)

        async def renewed() -> bool:
            return all(now > then + 2 for then, now in zip(before, await counters(journals[0]), strict=True))

        await wait_until(renewed)
    for each in judging:
        each.cancel()
    assert all(
        isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*judging, return_exceptions=True)
    )
    assert [hint for ear in ears for hint in ear.hints if hint.kind is HintKind.LEASE_LOST] == []
    for journal in journals:
        await journal.close()
