"""Processes that share a file and are killed again and again."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from keepstep.journal import Journal, Status
from keepstep.journal.sqlite import open_sqlite
from tests.journal.children import Spawn, next_line
from tests.journal.labour import STEPS_OF_LABOUR
from tests.journal.scene import new_run, wait_until

RUNS = 60
KILLS = 8
EVENTS = STEPS_OF_LABOUR + 2


async def all_completed(journal: Journal) -> bool:
    return await journal.count_runs("default", statuses=[Status.COMPLETED]) == RUNS


def kill_after(child: subprocess.Popen[str], lines: int) -> None:
    """Let it work for a while, then kill it in the middle of whatever it is doing."""
    for _ in range(lines):
        next_line(child)
    child.send_signal(signal.SIGKILL)
    child.communicate()


@pytest.mark.stress
async def test_runs_reach_their_end_step_by_step_however_often_their_workers_are_killed(
    database: Path, spawn: Spawn
) -> None:
    journal = await open_sqlite(database)
    await asyncio.gather(*[journal.start(new_run(f"order-{i}")) for i in range(RUNS)])
    chance = random.Random(7)
    for kill in range(KILLS):
        victim, other = spawn("labour", database, f"victim-{kill}"), spawn("labour", database, f"other-{kill}")
        await asyncio.to_thread(kill_after, victim, chance.randint(1, 40))
        await asyncio.to_thread(kill_after, other, chance.randint(1, 10))
    last = spawn("labour", database, "last")
    drain = asyncio.create_task(asyncio.to_thread(last.communicate))
    await wait_until(lambda: all_completed(journal))
    last.send_signal(signal.SIGKILL)
    await drain
    for run in await journal.list_runs("default", limit=RUNS):
        events = await journal.read_events(run.run_id)
        assert [one.seq for one in events] == list(range(1, EVENTS + 1))
        assert [one.data for one in events[1:]] == [f"{seq}".encode() for seq in range(2, EVENTS + 1)]
    await journal.close()
    db = sqlite3.connect(database)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
