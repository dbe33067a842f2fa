"""Scale: how large each workload is, in a full run and in a quick one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of the workloads. ``trials`` are whole repetitions of which the table shows the median."""

    name: str
    trials: int
    w1_runs: int
    w2_steps: int
    w2_empty_runs: int
    w3_runs: int
    w4_runs: int
    w5_runs: int
    w6_steps: int
    w7_orders: int
    w7_kills: int
    w8_closed: tuple[int, int]
    w8_history: int
    peer_seconds_max: float
    """A peer's workload that would take longer than this for all trials is run at a tenth of its size."""


FULL = Scale("full", 3, 500, 100, 50, 1000, 100_000, 1000, 10_000, 69_659, 6, (100_000, 1_000_000), 10_000, 300)
QUICK = Scale("quick", 1, 100, 50, 20, 200, 5_000, 100, 1_000, 2_000, 5, (10_000, 50_000), 1_000, 100)
