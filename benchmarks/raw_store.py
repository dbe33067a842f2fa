"""How fast is the SQLite journal beside what the disk and the driver can do at all?

    python benchmarks/raw_store.py [--seconds S]

*raw* inserts rows of the same payload by bare ``sqlite3``: one thread, ``executemany`` of 250 rows a transaction,
WAL, ``synchronous=FULL``. *commits* makes hot commits (an epoch and one event) through the public port from asyncio,
500 runs in flight. Both are measured in turns, so that whatever else the machine does hits both; the ratio is what
counts. *alone* is the latency of one commit when nothing else is going on.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from keepstep.journal import Commit, Journal, Lease, NewEvent, NewRun, this_process, uuid7
from keepstep.journal.sqlite import open_sqlite

PAYLOAD = b'{"id":"ch_0123456789","amount":4200,"currency":"eur","status":"succeeded","attempt":1}'
RUNS_IN_FLIGHT = 500
ROWS_A_TRANSACTION = 250
LONE_COMMITS = 500


def raw_rows_per_second(folder: Path, seconds: float) -> float:
    """Group-committed inserts by the bare driver."""
    db = sqlite3.connect(folder / f"raw-{time.monotonic_ns()}.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE events (n INTEGER PRIMARY KEY, run INTEGER, seq INTEGER, type TEXT, time INTEGER, "
               "key TEXT, data BLOB)")  # fmt: skip
    db.execute("CREATE UNIQUE INDEX events_of_run ON events (run, seq)")
    rows, seq, begin = 0, 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        seq += 1
        group = [
            (rows + i, i, seq, "step_completed", 1_800_000_000_000_000, f"main/charge_payment#{seq}", PAYLOAD)
            for i in range(ROWS_A_TRANSACTION)
        ]
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", group)
        db.execute("COMMIT")
        rows += ROWS_A_TRANSACTION
    rate = rows / (time.perf_counter() - begin)
    db.close()
    return rate


async def start_runs(journal: Journal, count: int) -> list[str]:
    """Runs that a lease of this process owns under epoch 1."""
    lease_id = uuid7()
    await journal.open_lease(
        Lease(
            lease_id=lease_id, lease_seconds=10, process=this_process(), queues=("q",), languages=("python",), code=""
        )
    )
    news = [
        NewRun(
            run_id=uuid7(),
            workflow_id=uuid7(),
            namespace="default",
            language="python",
            format=1,
            type="fulfil_order",
            queue="q",
            events=(NewEvent("run_started", journal.clock.now(), None, PAYLOAD),),
            started_at=journal.clock.now(),
            input_digest=b"0123456789abcdef",
            lease_id=lease_id,
        )
        for _ in range(count)
    ]
    return [started.run_id for started in await asyncio.gather(*map(journal.start, news))]


async def advance(journal: Journal, run_id: str, until: float, seq: int = 2) -> int:
    """Commit one event after another; how many."""
    first = seq
    while time.perf_counter() < until:
        event = NewEvent("step_completed", 1_800_000_000_000_000, f"main/charge_payment#{seq}", PAYLOAD)
        await journal.commit(Commit(run_id=run_id, epoch=1, first_seq=seq, events=(event,)))
        seq += 1
    return seq - first


async def commits_per_second(journal: Journal, seconds: float) -> float:
    run_ids = await start_runs(journal, RUNS_IN_FLIGHT)
    begin = time.perf_counter()
    done = await asyncio.gather(*[advance(journal, run_id, begin + seconds) for run_id in run_ids])
    return sum(done) / (time.perf_counter() - begin)


async def lone_commit_seconds(journal: Journal) -> list[float]:
    [run_id] = await start_runs(journal, 1)
    taken = []
    for seq in range(2, 2 + LONE_COMMITS):
        event = NewEvent("step_completed", 1_800_000_000_000_000, f"main/charge_payment#{seq}", PAYLOAD)
        begin = time.perf_counter()
        await journal.commit(Commit(run_id=run_id, epoch=1, first_seq=seq, events=(event,)))
        taken.append(time.perf_counter() - begin)
    return taken


async def measure(folder: Path, seconds: float, rounds: int) -> None:
    journal = await open_sqlite(folder / "journal.db")
    raw: list[float] = []
    commits: list[float] = []
    for _ in range(rounds):
        raw.append(await asyncio.to_thread(raw_rows_per_second, folder, seconds))
        commits.append(await commits_per_second(journal, seconds))
        print(f"raw {raw[-1]:9,.0f} rows/s   commits {commits[-1]:9,.0f}/s   ratio {commits[-1] / raw[-1]:.2f}")
    alone = sorted(await lone_commit_seconds(journal))
    ratio = statistics.median(commit / bare for commit, bare in zip(commits, raw, strict=True))
    print(f"median ratio {ratio:.2f}")
    print(
        f"one commit alone: p50 {alone[len(alone) // 2] * 1e3:.2f} ms, p99 {alone[len(alone) * 99 // 100] * 1e3:.2f} ms"
    )
    await journal.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    options.add_argument("--rounds", type=int, default=3, help="how often raw and commits take turns")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        asyncio.run(measure(Path(folder), chosen.seconds, chosen.rounds))


if __name__ == "__main__":
    main()
