"""Real processes on one PostgreSQL schema, some of them killed."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from keepstep.journal import Journal, Status
from tests.journal.children import Spawn, children_of, last_words, next_line
from tests.journal.labour import RUNS, STEPS_OF_LABOUR
from tests.journal.postgres.conftest import Open
from tests.journal.scene import new_run, wait_until


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a real process that runs a function of ``child.py``; killed at the end of the test."""
    with children_of("tests.journal.postgres.child") as start:
        yield start


async def test_what_a_killed_process_was_acknowledged_is_there_and_nothing_else(
    open_journal: Open, postgres_url: str, spawn: Spawn
) -> None:
    """Of commits that were not acknowledged, at most the one after them may have happened, a run."""
    journal = await open_journal()
    children = {name: spawn("commit_aloud", f"{postgres_url}?shards=1", name) for name in ("one", "other")}
    said = dict.fromkeys([f"{name}-{i}" for name in children for i in range(RUNS)], 1)
    for _ in range(300):
        for child in children.values():
            run_id, seq = next_line(child).split()
            said[run_id] = int(seq)
    for child in children.values():
        child.send_signal(signal.SIGKILL)
        for line in last_words(child):
            run_id, seq = line.split()
            said[run_id] = int(seq)

    async def are_gone() -> bool:
        await journal.reap()
        return not await journal.list_leases()

    await wait_until(are_gone)
    for run_id, last in said.items():
        events = await journal.read_events(run_id)
        assert [each.seq for each in events] == list(range(1, len(events) + 1))
        assert last <= len(events) <= last + 1


async def has_advanced(journal: Journal, steps: int) -> bool:
    return sum(run.last_seq - 1 for run in await journal.list_runs("default")) >= steps


async def test_what_a_killed_process_owned_is_done_by_others(
    open_journal: Open, postgres_url: str, spawn: Spawn
) -> None:
    journal, chance = await open_journal(), random.Random(3)
    ids = [(await journal.start(new_run(f"w{n}"))).run_id for n in range(RUNS)]
    url = f"{postgres_url}?shards=1"
    workers = [spawn("labour", url, f"worker-{n}") for n in range(2)]
    for n in range(4):
        await wait_until(partial(has_advanced, journal, n * 30 + 30))
        victim = workers.pop(chance.randrange(len(workers)))
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        workers.append(spawn("labour", url, f"replacement-{n}"))

    async def are_done() -> bool:
        return await journal.count_runs("default", statuses=[Status.COMPLETED]) == RUNS

    await wait_until(are_done)
    for run_id in ids:
        events = await journal.read_events(run_id)
        assert [each.seq for each in events] == list(range(1, STEPS_OF_LABOUR + 3))
