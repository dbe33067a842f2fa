"""The guard must not be felt. The bounds are generous, for busy machines; the benchmark prints the exact figures."""

from __future__ import annotations

from benchmarks.guard_cost import measure


def test_the_guard_is_a_small_share_of_even_a_trivial_step() -> None:
    cost = measure()
    assert cost.share < 0.06
    assert cost.event_outside < 2_000
    assert cost.turn < 3_000
    assert cost.scan_ms < 50
