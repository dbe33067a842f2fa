"""Workers of limited queues die by SIGKILL: a file says that there was never more at work than the limits allow."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keepstep import Engine
from keepstep.journal import Status
from tests.chaos.queue_workflow import CONCURRENCY, PER_KEY, ask_for_slots, hold_a_slot

RUNS, KILLS, WORKERS = 40, 8, 2

WORKER = """
import asyncio, sys
import tests.chaos.queue_workflow
from keepstep import Engine

async def main():
    async with Engine(sys.argv[1], queues=("default", "killed steps", "killed runs"), lease_seconds=3):
        await asyncio.Event().wait()

asyncio.run(main())
"""


def start_worker(url: str, ledger: Path) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "KEEPSTEP_TEST_LEDGER": str(ledger)}
    environment["PYTHONPATH"] = os.pathsep.join([str(root / "src"), str(root)])
    return subprocess.Popen([sys.executable, "-c", WORKER, url], env=environment, cwd=root)


async def kill_at_random(alive: list[subprocess.Popen[bytes]], url: str, ledger: Path) -> dict[int, float]:
    """When which process was dead."""
    chance, killed_at = random.Random(5), {}
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.3, 0.9))
        index = chance.randrange(len(alive))
        victim = alive[index]
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        killed_at[victim.pid] = time.monotonic()
        alive[index] = start_worker(url, ledger)
    return killed_at


Stretch = tuple[float, float, str]


def stretches(ledger: Path, kind: str, killed_at: dict[int, float]) -> list[Stretch]:
    """From when to when something was at work: until it ended, or its process was dead."""
    began: dict[tuple[str, int], float] = {}
    found: list[Stretch] = []
    for line in ledger.read_text().splitlines():
        what_kind, what, which, pid, moment = line.split()
        if what_kind != kind:
            continue
        if what == "begin":
            began[which, int(pid)] = float(moment)
        else:
            found.append((began.pop((which, int(pid))), float(moment), which))
    return found + [(begin, killed_at[pid], which) for (which, pid), begin in began.items()]


def most_at_once(found: list[Stretch]) -> int:
    changes = sorted([(begin, 1) for begin, _, _ in found] + [(end, -1) for _, end, _ in found])
    at_work = most = 0
    for _, change in changes:
        at_work += change
        most = max(most, at_work)
    return most


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_killed_workers_never_leave_more_at_work_than_the_limits_and_strand_nothing(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/q.db" if store == "sqlite" else request.getfixturevalue("postgres_url")
    ledger = tmp_path / "ledger"
    alive = [start_worker(url, ledger) for _ in range(WORKERS)]
    try:
        async with Engine(url, workers=False) as client:
            handles = [await client.start(ask_for_slots, n, id=f"s{n}") for n in range(RUNS)]
            handles += [await client.start(hold_a_slot, n, id=f"r{n}") for n in range(RUNS)]
            killed_at = await kill_at_random(alive, url, ledger)
            results = [await handle.result(timeout=90) for handle in handles]
            assert sorted(results) == sorted([*range(RUNS), *range(RUNS)])
            for kind, limit in CONCURRENCY.items():
                assert 1 < most_at_once(stretches(ledger, kind, killed_at)) <= limit
            by_key: dict[int, list[Stretch]] = {}
            for each in stretches(ledger, "steps", killed_at):
                by_key.setdefault(int(each[2].split(".")[0]) % 4, []).append(each)
            assert all(most_at_once(found) <= PER_KEY for found in by_key.values())
            assert [(each.held, each.waiting) for each in await client.queues.list()] == [(0, 0), (0, 0)]
            assert await client.count(f"Status = '{Status.RUNNING}'") == 0
    finally:
        for worker in alive:
            worker.kill()
            worker.wait()
