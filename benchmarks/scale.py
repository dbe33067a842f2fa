"""Scale: how large each workload is, in a full run and in a quick one."""

from __future__ import annotations

from dataclasses import dataclass, replace


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
    w9_runs: int
    w10_seconds: float
    w12_steps: int
    w13_runs: int
    w14_runs: int
    w15_schedules: int
    w16_runs: int
    w4_peer_runs: int
    """How many sleepers a peer gets, which may have to hold each of them in memory."""
    peer_processes: tuple[int, ...]
    """With how many worker processes a peer plays W11."""
    peer_waits: bool
    """Whether peers on PostgreSQL also play what is mostly waiting: W5, W6 and W10."""
    peer_seconds_max: float
    """A peer's workload that would take longer than this for all trials is run at a tenth of its size."""


FULL = Scale(
    "full", 3, 500, 100, 50, 1000, 100_000, 1000, 10_000, 69_659, 6, (100_000, 1_000_000), 10_000, 50, 20, 1_000_000,
    5_000, 2_000, 10_000, 1_000_000, 10_000, (1, 2, 4), True, 300,
)  # fmt: skip
QUICK = Scale(
    "quick",
    1,
    100,
    50,
    20,
    200,
    5_000,
    100,
    1_000,
    2_000,
    5,
    (10_000, 50_000),
    1_000,
    15,
    3,
    20_000,
    500,
    300,
    500,
    50_000,
    200,
    (),
    False,
    100,
)

FULL_POSTGRES = replace(FULL, w4_runs=20_000, w13_runs=1_000, peer_seconds_max=30)
"""Two peers beside it, of which one is slow: they play more of their workloads at a tenth of the size."""

QUICK_POSTGRES = replace(QUICK, w6_steps=500, peer_seconds_max=8)
