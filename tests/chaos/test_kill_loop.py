"""Kill for real: worker processes die by SIGKILL again and again, and a file that steps append to is the judge."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from keepstep import Engine
from tests.chaos.ledger_workflow import STEP_SECONDS, write_lines

RUNS, STEPS, KILLS, WORKERS = 200, 20, 30, 2

RECORDING_SECONDS_MAX = 3.0
"""How long a step's result may take to be durable on a machine that is busy restarting workers."""

WORKER = """
import asyncio, sys
import tests.chaos.ledger_workflow
from keepstep import Engine

async def main():
    async with Engine(sys.argv[1]):
        await asyncio.Event().wait()

asyncio.run(main())
"""


class Workers:
    """Worker processes, and when each was killed."""

    def __init__(self, url: str, ledger: Path) -> None:
        self._url = url
        self._ledger = ledger
        self.killed_at: dict[int, float] = {}
        self.alive = [self._start() for _ in range(WORKERS)]

    def _start(self) -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[2]
        environment = {**os.environ, "KEEPSTEP_TEST_LEDGER": str(self._ledger), "PYTHONPATH": str(root)}
        return subprocess.Popen([sys.executable, "-c", WORKER, self._url], env=environment, cwd=root)

    def kill(self, index: int) -> None:
        victim = self.alive[index]
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        self.killed_at[victim.pid] = time.monotonic()

    def replace(self, index: int) -> None:
        self.kill(index)
        self.alive[index] = self._start()


async def lines_grow(ledger: Path, by: int) -> None:
    """Wait until the ledger has so many lines more."""
    before = count_lines(ledger)
    while count_lines(ledger) < before + by:
        await asyncio.sleep(0.005)


def count_lines(ledger: Path) -> int:
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


@pytest.mark.timeout(180)
async def test_thirty_kills_lose_nothing_and_repeat_only_what_was_in_flight(tmp_path: Path) -> None:
    url, ledger = f"sqlite:///{tmp_path}/kill.db", tmp_path / "ledger.txt"
    chance = random.Random(42)
    async with Engine(url, workers=False) as engine:
        workers = Workers(url, ledger)
        try:
            handles = [await engine.start(write_lines, run, STEPS, id=f"run-{run}") for run in range(RUNS)]
            for _ in range(KILLS):
                await lines_grow(ledger, chance.randrange(10, 100))
                workers.replace(chance.randrange(WORKERS))
            results = await asyncio.wait_for(asyncio.gather(*(each.result() for each in handles)), 120)
            statuses = Counter([info.status.value async for info in engine.list()])
        finally:
            for index in range(WORKERS):
                workers.kill(index)
    assert statuses == {"completed": RUNS}
    judge(ledger, results, workers.killed_at)


def judge(ledger: Path, results: list[list[str]], killed_at: dict[int, float]) -> None:
    """Every step done, every receipt that a run used really written, nothing repeated but what a kill cut off."""
    executions: dict[tuple[int, int], list[tuple[str, str, int, float]]] = {}
    for line in ledger.read_text().splitlines():
        run, n, execution, previous, pid, moment = line.split()
        executions.setdefault((int(run), int(n)), []).append((execution, previous, int(pid), float(moment)))
    assert set(executions) == {(run, n) for run in range(RUNS) for n in range(STEPS)}
    for place, done in executions.items():
        used, before = results[place[0]][place[1] + 1], results[place[0]][place[1]]
        assert (used, before) in [each[:2] for each in done], f"{place} gave a receipt that never was"
        for execution, _, killed, began in done:
            if execution != used:
                assert killed in killed_at, f"{place} was repeated although its worker lived"
                cut_off = killed_at[killed] - began
                assert cut_off <= STEP_SECONDS + RECORDING_SECONDS_MAX, (
                    f"{place} was repeated although it had {cut_off:.2f} s to be recorded"
                )
