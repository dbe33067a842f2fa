"""What child processes do in the tests of the SQLite store: ``python -m tests.journal.sqlite.child NAME ARGUMENT…``."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sqlite3
import sys
from pathlib import Path

from keepstep.journal import Commit, Error
from keepstep.journal.sqlite import open_sqlite
from keepstep.journal.sqlite.turn import Turn
from tests.journal.labour import commit_for_ever, commit_steps, labour_for_ever, say, start_owned_runs
from tests.journal.scene import event, new_run


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
    await commit_for_ever(await open_sqlite(path), "child")


async def labour(path: str, name: str) -> None:
    await labour_for_ever(await open_sqlite(path), name)


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
