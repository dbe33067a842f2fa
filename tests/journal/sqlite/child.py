"""What child processes do in the tests of the SQLite store: ``python -m tests.journal.sqlite.child NAME ARGUMENT…``."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sqlite3
import sys
from pathlib import Path

from keepstep.journal import Commit, Error, Journal, Status, this_process
from keepstep.journal.sqlite import open_sqlite
from keepstep.journal.sqlite.turn import Turn
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


async def work(path: str, name: str, steps: str) -> None:
    """Commit steps to runs of its own, beside other processes."""
    journal = await open_sqlite(path)
    run_ids = await start_owned_runs(journal, name)
    say("ready")
    sys.stdin.readline()
    await asyncio.gather(*[commit_steps(journal, run_id, int(steps)) for run_id in run_ids])
    await journal.close()
    say("done")


async def commit_aloud(path: str) -> None:
    """Commit for ever and say each commit that was acknowledged."""
    journal = await open_sqlite(path)
    run_ids = await start_owned_runs(journal, "child")
    await asyncio.gather(*[commit_steps(journal, run_id, 1_000_000, aloud=True) for run_id in run_ids])


async def labour(path: str, name: str) -> None:
    """Claim whatever is due, advance it by one step, give it back; close it when it has had all its steps."""
    journal = await open_sqlite(path)
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


async def start_one(path: str) -> None:
    journal = await open_sqlite(path)
    await journal.start(new_run())
    await journal.close()
    say("started")


async def outgrow_the_disk(path: str) -> None:
    """Commit more than files may hold, until they may hold more: what the kernel refuses is the log at COMMIT."""
    journal = await open_sqlite(path)
    run_ids = await start_owned_runs(journal, "child", 2)
    loop, stuck = asyncio.get_running_loop(), asyncio.Event()
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: loop.call_soon_threadsafe(stuck.set)  # type: ignore[assignment]
    logging.getLogger("keepstep.journal").addHandler(handler)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
    data = os.urandom(400_000)
    commits = [journal.submit(Commit(run_id=run_id, epoch=1, events=(event(data=data),))) for run_id in run_ids]
    await stuck.wait()
    say("stuck", sum(commit.done() for commit in commits))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await asyncio.gather(*commits)
    whole = [(await journal.read_events(run_id))[1].data == data for run_id in run_ids]
    say("resumed", *whole)
    await journal.close()


async def hold_turn(path: str) -> None:
    """Take the lock and keep it."""
    with Turn(Path(path)):
        say("mine")
        sys.stdin.readline()


async def lock_outside(path: str) -> None:
    """Another program that holds the database locked."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    say("locked")
    sys.stdin.readline()


async def open_as_nobody(path: str) -> None:
    """Try to open the journal as a user without rights to it."""
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        await open_sqlite(path)
    except Error as refused:
        say(type(refused).__name__, refused)
    else:
        say("opened")


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]](*sys.argv[2:]))
