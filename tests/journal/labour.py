"""Labour: what a child process does on whatever store it has opened, and says to its parent while it does it."""

from __future__ import annotations

import asyncio
import os

from keepstep.journal import Commit, Journal, Status, this_process
from tests.journal.scene import event, lease, new_run

RUNS = 10
STEPS_OF_LABOUR = 20


def say(*words: object) -> None:
    """Tell the parent, so that it is told even if this process is killed at once."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def start_owned_runs(journal: Journal, name: str, count: int = RUNS) -> list[str]:
    await journal.open_lease(lease(name, lease_seconds=10.0))
    news = [new_run(f"{name}-{i}", run_id=f"{name}-{i}", lease_id=name) for i in range(count)]
    return [started.run_id for started in await asyncio.gather(*map(journal.start, news))]


async def commit_steps(journal: Journal, run_id: str, steps: int, *, aloud: bool = False) -> None:
    for seq in range(2, 2 + steps):
        await journal.commit(Commit(run_id=run_id, epoch=1, first_seq=seq, events=(event(data=f"{seq}".encode()),)))
        if aloud:
            say(run_id, seq)


async def commit_for_ever(journal: Journal, name: str) -> None:
    """Start runs and commit to them, and say each commit that was acknowledged."""
    run_ids = await start_owned_runs(journal, name)
    await asyncio.gather(*[commit_steps(journal, run_id, 1_000_000, aloud=True) for run_id in run_ids])


async def labour_for_ever(journal: Journal, name: str) -> None:
    """Claim whatever is due, advance it by one step, give it back; close it when it has had all its steps."""
    await journal.open_lease(lease(name, lease_seconds=10.0, process=this_process()))
    while True:
        await journal.reap()
        for run in await journal.claim_runs(name, 5):
            last = run.last_seq > STEPS_OF_LABOUR
            commit = Commit(
                run_id=run.run_id,
                epoch=run.epoch,
                first_seq=run.last_seq + 1,
                events=(event(data=f"{run.last_seq + 1}".encode()),),
                status=Status.COMPLETED if last else None,
                release=not last,
                wake_at=0,
                clear_strikes=True,
            )
            await journal.commit(commit)
            say(run.run_id, run.last_seq + 1)
