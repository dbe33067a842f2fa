"""A bulk whose process is killed in its middle is done again by its id, and no run is told twice."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from keepstep import Engine

RUNS = 1000
WAIT_SECONDS_MAX = 30.0


async def test_a_bulk_that_is_killed_in_its_middle_is_finished_and_tells_nobody_twice(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    async with Engine(f"sqlite:///{file}", workers=False) as engine:
        await asyncio.gather(*(engine.start("listen", id=f"run-{n}") for n in range(RUNS)))
        began_at = datetime.now(UTC)
        told = await asyncio.to_thread(tell_and_be_killed, file, began_at)
        assert 0 < told < RUNS
        report = await engine.bulk.signal(None, "word", 1, everything=True, id="incident", began_at=began_at)
    assert (report.total, report.already, report.done, report.refused) == (RUNS, told, RUNS - told, 0)
    assert count(file, "count(*)") == count(file, "count(DISTINCT run)") == RUNS


def tell_and_be_killed(file: Path, began_at: datetime) -> int:
    """How many runs a command has told before it was killed."""
    words = ["signal", "--all", "--yes", "--bulk-id", "incident", "--began-at", began_at.isoformat(), "word", "1"]
    command = [sys.executable, "-m", "keepstep", *words]
    environment = {**os.environ, "KEEPSTEP_DB": f"sqlite:///{file}"}
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while not count(file, "count(*)"):
            assert time.monotonic() < deadline, "it tells nobody"
            assert process.poll() is None, "it has ended before"
        process.kill()
    return count(file, "count(*)")


def count(file: Path, what: str) -> int:
    db = sqlite3.connect(file)
    try:
        found: int = db.execute(f"SELECT {what} FROM messages").fetchone()[0]
        return found
    finally:
        db.close()
