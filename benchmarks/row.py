"""Row: one line of the table, what it means, and the floor that Keepstep must hold in it.

Every measurement is recorded under a row's key and a system's name. The table shows medians over the trials.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median


class System(StrEnum):
    """Who was measured."""

    KEEPSTEP = "keepstep"
    RAW = "raw"
    DBOS = "dbos"
    ABSURD = "absurd"


@dataclass(frozen=True)
class Row:
    """One line of the table. ``text`` may name sizes of the scale.

    ``floor`` is the least (or, where less is better, the most) that passes.
    """

    key: str
    workload: str
    text: str
    unit: str
    more_is_better: bool = False
    floor: float | None = None
    raw_ratio_floor: float | None = None


SQLITE_ROWS = (
    Row("w1.steps", "W1", "{scale.w1_runs:,} runs of 10 steps at once", "steps/s", True, 10_000, 0.15),
    Row("w2.step_p50", "W2", "one run alone: a step, p50", "ms", floor=0.7),
    Row("w2.empty_p50", "W2", "an empty run, p50", "ms", floor=2),
    Row("w2.gather", "W2", "a run of 1,000 steps in one gather", "s", floor=0.4),
    Row("w3.signals", "W3", "{scale.w3_runs:,} waiting runs, signalled and completed", "runs/s", True, 3_000),
    Row("w4.disk", "W4", "disk for a sleeping run", "bytes", floor=1.2 * 1024),
    Row("w4.rss", "W4", "an idle worker's memory beside {scale.w4_runs:,} sleepers", "MiB", floor=120),
    Row("w4.memory", "W4", "memory for a sleeping run", "bytes"),
    Row("w5.takeover", "W5", "kill -9 with {scale.w5_runs:,} open runs: the first goes on, from the kill", "s"),
    Row("w5.resumed", "W5", "all of them are done, from then", "s"),
    Row("w5.after_kill", "W5", "kill -9 with {scale.w5_runs:,} open runs: all done, from the kill", "s"),
    Row("w5.after_expiry", "W5", "owner frozen: all done, from the lease's end", "s", floor=2),
    Row("w5.lost", "W5", "runs lost", "runs", floor=0),
    Row("w6.replay", "W6", "a run with {scale.w6_steps:,} recorded steps goes on", "s", floor=0.3),
    Row("w13.check", "W13", "keepstep check: {scale.w13_runs:,} open runs, one process", "events/s", True, 20_000),
    Row("w14.runs", "W14", "{scale.w14_runs:,} runs through a queue with a concurrency of 16", "runs/s", True),
    Row(
        "w14.pickup_p50",
        "W14",
        "on a queue with limits: from a start to its first step in another process, p50",
        "ms",
        floor=10,
    ),
    Row(
        "w15.all_started",
        "W15",
        "{scale.w15_schedules:,} schedules due in one second: all started, from then",
        "s",
        floor=5,
    ),
    Row("w15.burst_p50", "W15", "the same: half of them started", "s"),
    Row("w15.late_p50", "W15", "a schedule that fires each second, alone: how late, p50", "ms"),
    Row("w15.late_p99", "W15", "the same, p99", "ms", floor=1000),
    Row(
        "w16.page_p50",
        "W16",
        "a page of a search beside {scale.w16_runs:,} runs, p50 of the slowest filter",
        "ms",
        floor=50,
    ),
    Row("w16.scanned_page", "W16", "the longest page where no index serves the filter", "ms"),
    Row("w16.count", "W16", "counting by type and status", "ms"),
    Row("w7.orders", "W7", "{scale.w7_orders:,} orders, six steps, two workers, killed", "orders/s", True),
    Row("w7.kills", "W7", "kills during it", "kills", True, 5),
    Row("w7.unclean", "W7", "orders lost, wrong, or with a step undone", "orders", floor=0),
    Row("w8.history_100", "W8", "cost of a step at 100 events of history, against 1", "x", floor=1.2),
    Row(
        "w8.history_10000", "W8", "cost of a step at {scale.w8_history:,} events of history, against 1", "x", floor=1.2
    ),
    Row(
        "w8.closed_some", "W8", "cost of a step beside {scale.w8_closed[0]:,} closed runs, against none", "x", floor=1.2
    ),
    Row(
        "w8.closed_many", "W8", "cost of a step beside {scale.w8_closed[1]:,} closed runs, against none", "x", floor=1.2
    ),
)
POSTGRES_ROWS = (
    Row("pg.pgbench", "raw", "pgbench: single rows, 32 connections", "rows/s", True),
    Row("pg.w1.steps", "W1", "{scale.w1_runs:,} runs of 10 steps at once", "steps/s", True, 10_000),
    Row("pg.w2.step_p50", "W2", "one run alone: a step, p50", "ms", floor=1.0),
    Row("pg.w2.empty_p50", "W2", "an empty run, p50", "ms"),
    Row("pg.w2.gather", "W2", "a run of 1,000 steps in one gather", "s", floor=0.4),
    Row("pg.w3.signals", "W3", "{scale.w3_runs:,} waiting runs, signalled and completed", "runs/s", True, 2_500),
    Row("pg.w4.disk", "W4", "disk for a sleeping run", "bytes"),
    Row("pg.w4.rss", "W4", "an idle worker's memory beside {scale.w4_runs:,} sleepers", "MiB", floor=120),
    Row("pg.w4.memory", "W4", "memory for a sleeping run", "bytes"),
    Row("pg.w5.takeover", "W5", "kill -9 with {scale.w5_runs:,} open runs: the first goes on, from the kill", "s",
        floor=12),
    Row("pg.w5.resumed", "W5", "all of them are done, from then", "s", floor=3),
    Row("pg.w5.after_kill", "W5", "all of them are done, from the kill", "s"),
    Row("pg.w5.after_expiry", "W5", "owner frozen: all done, from the lease's end", "s", floor=5),
    Row("pg.w5.lost", "W5", "runs lost", "runs", floor=0),
    Row("pg.w6.replay", "W6", "a run with {scale.w6_steps:,} recorded steps goes on", "s"),
    Row("pg.w13.check", "W13", "keepstep check: {scale.w13_runs:,} open runs, one process", "events/s", True, 20_000),
    Row("pg.w15.all_started", "W15", "{scale.w15_schedules:,} schedules due in one second: all started, from then", "s",
        floor=5),
    Row("pg.w15.burst_p50", "W15", "the same: half of them started", "s"),
    Row("pg.w15.late_p50", "W15", "a schedule that fires each second, alone: how late, p50", "ms"),
    Row("pg.w15.late_p99", "W15", "the same, p99", "ms", floor=1000),
    Row("pg.w16.page_p50", "W16", "a page of a search beside {scale.w16_runs:,} runs, p50 of the slowest filter", "ms",
        floor=50),
    Row("pg.w16.scanned_page", "W16", "the longest page where no index serves the filter", "ms"),
    Row("pg.w16.count", "W16", "counting by type and status", "ms"),
    Row("pg.w9.pickup_p50", "W9", "from a start to its first step in another process, p50", "ms", floor=10),
    Row("pg.w14.runs", "W14", "{scale.w14_runs:,} runs through a queue with a concurrency of 16", "runs/s", True),
    Row("pg.w14.pickup_p50", "W14", "W9 on a queue with limits, p50", "ms", floor=10),
    Row("pg.w10.statements", "W10", "statements of an idle worker process", "per s", floor=1),
    Row("pg.w11.steps_1", "W11", "W1 by one worker process, handed in by another process", "steps/s", True),
    Row("pg.w11.steps_2", "W11", "the same by two", "steps/s", True),
    Row("pg.w11.steps_4", "W11", "the same by four", "steps/s", True),
    Row("pg.w12.bytes", "W12", "disk for a step, after {scale.w12_steps:,} steps", "bytes"),
    Row("pg.w12.dead", "W12", "share of all table bytes that is dead or empty, after them", "%"),
    Row("pg.w12.passing_growth", "W12", "tables whose rows pass: their size after them, against after a tenth", "x"),
)  # fmt: skip
ROWS = (*SQLITE_ROWS, *POSTGRES_ROWS)
ROW_OF = {row.key: row for row in ROWS}


@dataclass
class Results:
    """All that was measured in this run of the benchmarks, and what must be said about single figures."""

    values: dict[tuple[System, str], list[float]] = field(default_factory=dict)
    notes: dict[tuple[System, str], str] = field(default_factory=dict)

    def add(self, system: System, key: str, value: float) -> None:
        """Record one trial's figure."""
        assert key in ROW_OF, f"no row is called {key}"
        self.values.setdefault((system, key), []).append(value)

    def note(self, system: System, key: str, text: str) -> None:
        """Say something beside a figure, such as the size when it is not the full one."""
        self.notes[system, key] = text

    def median(self, system: System, key: str) -> float | None:
        """The median over the trials, or None if it was not measured."""
        values = self.values.get((system, key))
        return median(values) if values else None

    def ratio(self, row: Row, other: System) -> float | None:
        """How many times better Keepstep is than ``other``; below 1 it is worse."""
        ours, theirs = self.median(System.KEEPSTEP, row.key), self.median(other, row.key)
        if not ours or not theirs:
            return None
        return ours / theirs if row.more_is_better else theirs / ours

    def shortfall(self, row: Row) -> str | None:
        """Why Keepstep falls short of the row's floor, or None if it holds or there is none."""
        ours = self.median(System.KEEPSTEP, row.key)
        if ours is None:
            return None
        if row.floor is not None and (ours < row.floor if row.more_is_better else ours > row.floor):
            return f"{'at least' if row.more_is_better else 'at most'} {row.floor:g} {row.unit}"
        ratio = self.ratio(row, System.RAW)
        if row.raw_ratio_floor is not None and ratio is not None and ratio < row.raw_ratio_floor:
            return f"at least {row.raw_ratio_floor:g} of raw"
        return None
