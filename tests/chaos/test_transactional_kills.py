"""Transactional steps under SIGKILL: workers of two processes die in the middle of them, and the books agree.

The runs themselves are started in transactions, some of which are killed before their commit.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from keepstep import Engine
from tests.chaos.transactional_workflow import TABLES, transfer_step_by_step

RUNS, STEPS, KILLS, WORKERS = 40, 8, 12, 2

WORKER = """
import asyncio, sys
import tests.chaos.transactional_workflow
from keepstep import Engine

async def main():
    async with Engine(sys.argv[1]):
        await asyncio.Event().wait()

asyncio.run(main())
"""

STARTER = """
import asyncio, os, signal, sqlite3, sys
from tests.chaos.transactional_workflow import transfer_step_by_step
from keepstep import Engine

async def main(url, path, first, last, dies):
    async with Engine(url, workers=False) as engine:
        db = sqlite3.connect(path, timeout=60)
        for run in range(first, last):
            with db:
                db.execute("INSERT INTO wanted VALUES (?)", (run,))
                await engine.start(transfer_step_by_step, run, 8, id=f"run-{run}", connection=db)
                if run == last - 1 and dies:
                    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "dies"))
"""


def python(program: str, *arguments: object) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], env=environment, cwd=root)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def count_transfers(db: sqlite3.Connection) -> int:
    (count,) = db.execute("SELECT count(*) FROM transfers").fetchone()
    return int(count)


async def transfers_grow(db: sqlite3.Connection, by: int) -> None:
    """Wait until there are so many more, or all."""
    wanted = min(count_transfers(db) + by, RUNS * STEPS)
    while count_transfers(db) < wanted:
        await asyncio.sleep(0.002)


@pytest.mark.timeout(180)
async def test_kills_leave_every_effect_exactly_once(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path}/bank.db", tmp_path / "bank.db"
    chance = random.Random(7)
    async with Engine(url, workers=False) as engine:
        with closing(sqlite3.connect(path, timeout=60)) as db:
            db.executescript(TABLES + "CREATE TABLE wanted (run INTEGER PRIMARY KEY);")
            half = RUNS // 2
            assert python(STARTER, url, path, 0, half + 1, "dies").wait() == -signal.SIGKILL
            assert db.execute("SELECT count(*) FROM wanted").fetchone() == (half,)
            assert await engine.count() == half
            assert python(STARTER, url, path, half, RUNS, "lives").wait() == 0
            workers = [python(WORKER, url) for _ in range(WORKERS)]
            try:
                for _ in range(KILLS):
                    await transfers_grow(db, chance.randrange(3, 25))
                    victim = chance.randrange(WORKERS)
                    kill(workers[victim])
                    workers[victim] = python(WORKER, url)
                handles = [
                    await engine.start(transfer_step_by_step, run, STEPS, id=f"run-{run}") for run in range(RUNS)
                ]
                results = await asyncio.wait_for(asyncio.gather(*(each.result() for each in handles)), 120)
            finally:
                for worker in workers:
                    kill(worker)
            assert results == [list(range(1, STEPS + 1))] * RUNS
            assert await engine.count() == RUNS
            judge(db)


def judge(db: sqlite3.Connection) -> None:
    everything = [(run, n) for run in range(RUNS) for n in range(STEPS)]
    assert db.execute("SELECT run, n FROM transfers ORDER BY run, n").fetchall() == everything
    assert dict(db.execute("SELECT name, balance FROM accounts")) == {"mine": -RUNS * STEPS, "yours": RUNS * STEPS}
    attempts = dict(db.execute("SELECT attempt, count(*) FROM transfers GROUP BY attempt"))
    assert attempts == {1: RUNS * STEPS * 4 // 5, 2: RUNS * STEPS // 5}
    assert len(db.execute("SELECT DISTINCT pid FROM transfers").fetchall()) > WORKERS
