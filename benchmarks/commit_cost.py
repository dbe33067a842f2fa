"""What one commit on PostgreSQL costs: CPU time of the client and of the server, WAL bytes, round trips.

Each kind of commit is made so many at a time, as that many busy runs would make them; what is made at the same time
travels together. CPU time is what the kernel has counted, so that it says nearly the same on a machine that is busy
with other things. The server's includes its background processes. "client" is the journal alone: no workflow code, no
JSON; ``w1`` in ``make bench`` has all of it, and the last line of the table a whole step of a workflow.

    python -m benchmarks.commit_cost
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from keepstep import Engine, step, workflow
from keepstep.journal import (
    Commit,
    Lease,
    NewEvent,
    NewMessage,
    NewRun,
    Run,
    Status,
    this_process,
)
from keepstep.journal.postgres import PostgresJournal, open_postgres
from keepstep.journal.postgres.wire import Wire
from keepstep.testing.postgres.processes import children_of

from .machine import describe_machine
from .postgres_store import PostgresDatabase, PostgresStore

AT_A_TIME = (1, 16, 64, 256)
COMMITS_MAX = 16_000
COMMITS_MIN = 1_500
DATA = b'{"reference": "ch_3f8a1", "amount": 12990, "currency": "EUR", "captured": true, "risk": 0.02}'
STEPS_OF_A_WORKFLOW = 20

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

Act = Callable[[PostgresJournal, list[Run], int], Awaitable[None]]


class Cost(msgspec.Struct, frozen=True):
    """Of one commit."""

    what: str
    at_a_time: int
    client_ms: float
    server_ms: float
    wal_bytes: float
    round_trips: float
    transactions: float
    per_second: float


class Meter:
    """Reads all counters before and after."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self.round_trips = self.transactions = 0
        self._before = self._read()

    def _read(self) -> tuple[float, float, int, float]:
        wal = int(self._database.query("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"))
        return time.process_time(), server_seconds(self._database.server.pid), wal, time.monotonic()

    def cost(self, what: str, at_a_time: int, commits: int) -> Cost:
        client, server, wal, seconds = (
            after - before for after, before in zip(self._read(), self._before, strict=True)
        )
        return Cost(
            what, at_a_time, client * 1000 / commits, server * 1000 / commits, wal / commits,
            self.round_trips / commits, self.transactions / commits, commits / seconds,
        )  # fmt: skip


def server_seconds(postmaster: int) -> float:
    """CPU time of the server's processes, those that have ended included."""
    return sum(map(_own_seconds, children_of(postmaster))) + _seconds(postmaster, 13, 17)


def _own_seconds(pid: int) -> float:
    return _seconds(pid, 13, 15)


def _seconds(pid: int, begin: int, end: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it has ended, and its parent's count has it
        return 0.0
    fields = ["", "", *stat[stat.rindex(")") + 2 :].split()]
    return sum(map(int, fields[begin:end])) / TICKS_PER_SECOND


@contextmanager
def metered(database: PostgresDatabase) -> Iterator[Meter]:
    """Count round trips, and transactions that write, while it lasts."""
    meter, exchange, commit = Meter(database), Wire._exchange, Wire.commit

    def counted_exchange(wire: Wire) -> object:
        meter.round_trips += 1
        return exchange(wire)

    def counted_commit(wire: Wire) -> object:
        meter.transactions += 1
        return commit(wire)

    Wire._exchange, Wire.commit = counted_exchange, counted_commit  # type: ignore[method-assign, assignment]
    try:
        yield meter
    finally:
        Wire._exchange, Wire.commit = exchange, commit  # type: ignore[method-assign]


async def record_step(journal: PostgresJournal, runs: list[Run], n: int) -> None:
    """What a step of a workflow costs: one event, under the run's epoch."""
    run = runs[n % len(runs)]
    done = NewEvent("step_completed", journal.clock.now(), "charge_payment", DATA)
    await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, events=(done,)))


async def start_run(journal: PostgresJournal, runs: list[Run], n: int) -> None:
    await journal.start(_new_run(f"started {n} of {id(runs)}", journal.clock.now(), None))


async def tell_another_run(journal: PostgresJournal, runs: list[Run], n: int) -> None:
    """A step that signals another run: most of them lie in another shard."""
    run, other = runs[n % len(runs)], runs[(n + 1) % len(runs)]
    told = NewMessage(run_id=other.run_id, kind="signal", name="told", data=DATA)
    done = NewEvent("signal_sent", journal.clock.now(), "tell", b"")
    await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, events=(done,), send=(told,)))


async def end_run(journal: PostgresJournal, runs: list[Run], n: int) -> None:
    """Start a run that this process owns, and end it."""
    started = await journal.start(_new_run(f"ended {n} of {id(runs)}", journal.clock.now(), "cost"))
    done = NewEvent("workflow_completed", journal.clock.now(), None, DATA)
    ending = Commit(run_id=started.run_id, epoch=started.epoch, events=(done,), status=Status.COMPLETED)
    await journal.commit(ending)


ACTS: Sequence[tuple[str, Act]] = (
    ("step", record_step),
    ("start", start_run),
    ("start + end", end_run),
    ("step that signals another run", tell_another_run),
)


def _new_run(workflow_id: str, now: int, lease_id: str | None) -> NewRun:
    return NewRun(
        run_id=os.urandom(16).hex(), workflow_id=workflow_id, namespace="default", language="python", format=1,
        type="fulfil", queue="default", events=(NewEvent("workflow_started", now, None, DATA),), started_at=now,
        input_digest=b"0123456789abcdef", lease_id=lease_id, wake_at=None,
    )  # fmt: skip


async def measure(database: PostgresDatabase) -> list[Cost]:
    journal = await open_postgres(database.url)
    try:
        await journal.open_lease(
            Lease(
                lease_id="cost", lease_seconds=1000.0, process=this_process(), queues=("default",),
                languages=("python",), code="",
            )
        )  # fmt: skip
        return [await _measure(database, journal, *act, many) for act in ACTS for many in AT_A_TIME]
    finally:
        await journal.close()


async def _measure(database: PostgresDatabase, journal: PostgresJournal, what: str, act: Act, many: int) -> Cost:
    runs = []
    for n in range(max(many, 2)):
        started = await journal.start(_new_run(f"{what} {many} {n}", journal.clock.now(), "cost"))
        run = await journal.read_run(started.run_id)
        assert run is not None
        runs.append(run)
    commits = min(COMMITS_MIN * many, COMMITS_MAX)
    database.query("CHECKPOINT")
    with metered(database) as meter:
        await asyncio.gather(*(_repeat(journal, runs, act, range(first, commits, many)) for first in range(many)))
    return meter.cost(what, many, commits)


async def _repeat(journal: PostgresJournal, runs: list[Run], act: Act, numbers: range) -> None:
    for n in numbers:
        await act(journal, runs, n)


@step
async def do_nothing_at_a_cost(n: int) -> int:
    return n


@workflow
async def take_twenty_steps() -> int:
    return sum([await do_nothing_at_a_cost(n) for n in range(STEPS_OF_A_WORKFLOW)])


async def measure_workflows(database: PostgresDatabase, runs: int) -> Cost:
    """Whole workflows on an engine: what a step costs with its share of its run."""
    async with Engine(database.url) as engine:
        await asyncio.gather(*(engine.run(take_twenty_steps) for _ in range(50)))
        database.query("CHECKPOINT")
        with metered(database) as meter:
            await asyncio.gather(*(engine.run(take_twenty_steps) for _ in range(runs)))
        return meter.cost(f"step of a workflow of {STEPS_OF_A_WORKFLOW}", runs, runs * STEPS_OF_A_WORKFLOW)


def main() -> None:
    with PostgresStore() as store:
        for name, value in {**describe_machine(), "server": store.describe()}.items():
            print(f"{name}: {value}")
        with store.postgres_database() as database:
            costs = asyncio.run(measure(database))
        with store.postgres_database() as database:
            costs.append(asyncio.run(measure_workflows(database, 500)))
    print("\n| commit | at a time | client ms | server ms | WAL bytes | round trips | transactions | a second |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for each in costs:
        print(
            f"| {each.what} | {each.at_a_time} | {each.client_ms:.3f} | {each.server_ms:.3f} | {each.wal_bytes:,.0f} "
            f"| {each.round_trips:.3f} | {each.transactions:.3f} | {each.per_second:,.0f} |"
        )


if __name__ == "__main__":
    main()
