"""Workers on several machines and one PostgreSQL server: the cable of one is pulled, and the others take over.

The machines are network namespaces, which only root can make. Each reaches the server through the end of its cable on
our side; while that is out, packets are lost and nobody is told: the worker lives, and so do its connections.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from keepstep import Engine, RunHandle
from keepstep.testing.postgres import Access, Host, Proxy, why_no_hosts
from tests.chaos.ledger_workflow import write_lines

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(why_no_hosts() is not None, reason=f"no other machines here: {why_no_hosts()}"),
]

LEASE_SECONDS = 3.0
BUSY_SECONDS = 6.0
"""How long a busy machine may take beyond what is promised."""

RUNS, STEPS = 10, 40
"""A step takes ``STEP_SECONDS`` of the workflow: a run takes longer than it takes to pull a cable."""

ROOT = Path(__file__).parents[2]

WORKER = """
import asyncio, sys
import tests.chaos.ledger_workflow
from keepstep import Engine, RunHandle

async def main():
    async with Engine(sys.argv[1], lease_seconds=float(sys.argv[2]), queues=tuple(sys.argv[3:])):
        await asyncio.Event().wait()

asyncio.run(main())
"""


class Machine:
    """A host with one worker on it, which serves some queues."""

    def __init__(self, server: Access, url: str, ledger: Path, stack: ExitStack, *queues: str) -> None:
        self.host = stack.enter_context(Host())
        self.proxy = stack.enter_context(Proxy(server.port, address=self.host.gateway))
        parts = urlsplit(url)
        place = parts.netloc.replace(f"127.0.0.1:{server.port}", f"{self.host.gateway}:{self.proxy.port}")
        near = parts._replace(netloc=place).geturl()
        command = self.host.command(sys.executable, "-c", WORKER, near, str(LEASE_SECONDS), *queues)
        environment = {**os.environ, "KEEPSTEP_TEST_LEDGER": str(ledger), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        self.worker = subprocess.Popen(command, env=environment, cwd=ROOT)
        stack.callback(self._end)

    def _end(self) -> None:
        self.worker.kill()
        self.worker.wait()


class Line:
    """What a step wrote."""

    def __init__(self, text: str) -> None:
        run, n, self.execution, self.previous, pid, moment = text.split()
        self.run, self.n, self.pid, self.moment = int(run), int(n), int(pid), float(moment)


def read(ledger: Path) -> list[Line]:
    return [Line(text) for text in ledger.read_text().splitlines()] if ledger.exists() else []


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.txt"


@pytest.fixture
def stage(postgres_server: Access, postgres_url: str, ledger: Path) -> Iterator[Callable[..., Machine]]:
    """Sets up machines."""
    with ExitStack() as stack:
        yield partial(Machine, postgres_server, postgres_url, ledger, stack)


@pytest.fixture
async def client(postgres_url: str) -> AsyncIterator[Engine]:
    async with Engine(postgres_url, workers=False) as engine:
        yield engine


async def start(client: Engine, name: str, queue: str, runs: range) -> list[RunHandle[list[str]]]:
    return [await client.start(write_lines, run, STEPS, id=f"{name}-{run}", queue=queue) for run in runs]


async def writes(machine: Machine, ledger: Path, since: float = 0.0) -> None:
    """Until its worker has written something."""
    while not any(line.pid == machine.worker.pid and line.moment > since for line in read(ledger)):
        assert machine.worker.poll() is None
        await asyncio.sleep(0.05)


@pytest.mark.timeout(240)
async def test_a_worker_that_is_cut_off_stops_and_others_take_over_within_the_lease(
    stage: Callable[..., Machine], client: Engine, ledger: Path
) -> None:
    lost = stage("shared", "lost only")
    handles = await start(client, "first", "shared", range(RUNS))
    await writes(lost, ledger)
    heir = stage("shared", "heir only")
    handles += await start(client, "second", "heir only", range(RUNS, 2 * RUNS))
    await writes(heir, ledger)

    lost.host.unplug()
    parted = time.monotonic()
    results = await asyncio.gather(*(handle.result() for handle in handles))
    lines = read(ledger)
    late = [line.moment - parted for line in lines if line.pid == lost.worker.pid]
    assert max(late) < LEASE_SECONDS + BUSY_SECONDS, "it went on after its lease was over"
    for run in range(RUNS):
        first = min(line.moment for line in lines if line.run == run and line.pid == heir.worker.pid)
        assert first - parted < LEASE_SECONDS + BUSY_SECONDS, f"run {run} was not taken over"
    judge(lines, results, lost.worker.pid, parted)

    lost.host.plug()
    [again] = await start(client, "again", "lost only", range(2 * RUNS, 2 * RUNS + 1))
    assert len(await again.result()) == STEPS + 1
    assert [await handle.result() for handle in handles] == results


def judge(lines: list[Line], results: list[list[str]], lost: int, parted: float) -> None:
    """Every receipt that a run used was given, each to the next; only what was cut off was done twice."""
    for run, receipts in enumerate(results):
        for n, (before, used) in enumerate(itertools.pairwise(receipts)):
            done = [line for line in lines if (line.run, line.n) == (run, n)]
            assert [line for line in done if (line.execution, line.previous) == (used, before)]
            for line in done:
                if line.execution != used:
                    assert line.pid == lost
                    assert line.moment > parted - BUSY_SECONDS
