"""What child processes do in the tests of the PostgreSQL store: ``python -m tests.journal.postgres.child NAME …``."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from keepstep.journal import Commit, Journal, Status, this_process
from keepstep.journal.postgres import open_postgres
from tests.journal.scene import event, lease, new_run

RUNS = 10
STEPS_OF_LABOUR = 20


def say(*words: object) -> None:
    """Tell the parent, so that it is told even if this process is killed at once."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def start_owned_runs(journal: Journal, name: str) -> list[str]:
    await journal.open_lease(lease(name, lease_seconds=10.0, process=this_process()))
    news = [new_run(f"{name}-{i}", run_id=f"{name}-{i}", lease_id=name) for i in range(RUNS)]
    return [started.run_id for started in await asyncio.gather(*map(journal.start, news))]


async def commit_aloud(url: str, name: str) -> None:
    """Commit for ever and say each commit that was acknowledged."""
    journal = await open_postgres(url)
    run_ids = await start_owned_runs(journal, name)

    async def commit_steps(run_id: str) -> None:
        for seq in range(2, 1_000_000):
            await journal.commit(Commit(run_id=run_id, epoch=1, first_seq=seq, events=(event(data=f"{seq}".encode()),)))
            say(run_id, seq)

    await asyncio.gather(*map(commit_steps, run_ids))


async def labour(url: str, name: str) -> None:
    """Claim whatever is due, advance it by one step, give it back; close it when it has had all its steps."""
    journal = await open_postgres(url)
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


def die_with_parent() -> None:
    """A test that is killed takes its children with it: its end of the pipe is closed then."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=die_with_parent, daemon=True).start()
    asyncio.run(globals()[sys.argv[1]](*sys.argv[2:]))
