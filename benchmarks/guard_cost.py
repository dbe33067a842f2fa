"""What the guard costs: per audit event, per turn, per scanned workflow, and as a share of 10,000 trivial steps.

The steps it is compared with are the least that a durable step can be: one row, group-committed with 99 others into
SQLite in WAL mode with ``synchronous=FULL``, and one resumption of a coroutine. Real steps cost more, so the real share
is smaller.

    python -m benchmarks.guard_cost
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from keepstep.runtime.guard import scan, take_violation, turn_begins, turn_ends

STEPS = 10_000
GROUP = 100
REPEATS = 5


@dataclass(frozen=True)
class Cost:
    """Nanoseconds, except where a name says otherwise."""

    event_outside: float
    event_inside: float
    turn: float
    scan_ms: float
    step: float

    @property
    def share(self) -> float:
        """The guard's share of a trivial step: one turn and one audit event that nobody watches."""
        return (self.turn + self.event_inside) / self.step


def measure() -> Cost:
    turn_begins()
    turn_ends()
    outside = _each(lambda: sys.audit("keepstep.benchmark"), STEPS)
    turn_begins()
    inside = _each(lambda: sys.audit("keepstep.benchmark"), STEPS)
    turn_ends()
    return Cost(outside, inside, _each(_turn, STEPS), _each(lambda: scan(_flow), 20) / 1e6, _trivial_step())


def _turn() -> None:
    turn_begins()
    turn_ends()
    take_violation()


def _each(work: Callable[[], object], times: int) -> float:
    """The best of several rounds, without the cost of calling an empty function so often."""

    def best(call: Callable[[], object]) -> float:
        rounds = []
        for _ in range(REPEATS):
            began = time.perf_counter_ns()
            for _ in range(times):
                call()
            rounds.append(time.perf_counter_ns() - began)
        return min(rounds) / times

    return max(best(work) - best(lambda: None), 1.0)


def _trivial_step() -> float:
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "steps.db", isolation_level=None)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("create table event (run int, seq int, data blob, primary key (run, seq)) without rowid")
        best = min(_steps_of(connection, run) for run in range(REPEATS))
        connection.close()
    return best / STEPS


def _steps_of(connection: sqlite3.Connection, run: int) -> int:
    began = time.perf_counter_ns()
    flow = _resumed()
    next(flow)
    for first in range(0, STEPS, GROUP):
        connection.execute("begin immediate")
        rows = [(run, first + n, b'{"value":1}') for n in range(GROUP)]
        connection.executemany("insert into event values (?, ?, ?)", rows)
        connection.execute("commit")
        for row in rows:
            flow.send(row[2])
    return time.perf_counter_ns() - began


def _resumed() -> Generator[None, bytes, None]:
    while True:
        yield


async def _flow(order: dict[str, int]) -> int:
    total = 0
    for name, price in sorted(order.items()):
        total += _discounted(price, name)
    try:
        return await _paid(total)
    except ValueError as error:
        return len(str(error))


def _discounted(price: int, name: str) -> int:
    return price if name else price // 2


async def _paid(total: int) -> int:
    return total


def main() -> None:
    cost = measure()
    print(f"audit event outside of turns  {cost.event_outside:8.0f} ns")
    print(f"audit event in a turn         {cost.event_inside:8.0f} ns")
    print(f"turn begins, ends, is asked   {cost.turn:8.0f} ns")
    print(f"scan of a small workflow      {cost.scan_ms:8.2f} ms")
    print(f"trivial durable step          {cost.step:8.0f} ns")
    print(f"guard's share of it           {cost.share:8.2%}")


if __name__ == "__main__":
    main()
