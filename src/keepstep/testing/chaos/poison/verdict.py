"""Verdict: what a round's visits mean, and when the ratio of two noisy percentiles is believed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles

import msgspec

from .visit import Parked, Visited

RATIO_MAX = 1.10
ROUNDS_AT_MOST_TIMES = 3
GAP_SECONDS_MAX = 30.0
"""No errand ended for so long: the others' progress has stopped. The killers end a dozen workers one after the other
before they are found out, and hardly an errand ends meanwhile: some seconds, and more on a crowded machine."""

DEATHS_MAX = 24
"""Of workers, until two killers are quarantined: five each, and more where both are on one worker, or are not yet
suspected."""


class Round(msgspec.Struct, frozen=True):
    """What a round came to."""

    seed: int
    poisoned: int
    errands: int
    healthy_p99: float
    poisoned_p99: float
    deaths: int
    gap_seconds: float
    findings: list[str]
    seconds: float

    @property
    def ratio(self) -> float:
        return self.poisoned_p99 / self.healthy_p99


def p99(seconds: Sequence[float]) -> float:
    """The 99th percentile."""
    return quantiles(seconds, n=100, method="inclusive")[98]


def judge_data(seen: Visited, deaths: int) -> list[str]:
    """What is wrong after poisoned histories were woken."""
    wrong = [*seen.failed, *(found for each in seen.parked if (found := _not_parked(each, "blocked")))]
    if deaths:
        wrong.append(f"{deaths} workers died of poisoned histories")
    return wrong


def judge_code(seen: Visited, deaths: int) -> list[str]:
    """What is wrong after poisonous code was started. Being killed is the workers' lot here, but not for ever."""
    conditions = ["quarantined", "quarantined", "blocked"]
    wrong = [*seen.failed]
    for each, condition in zip(seen.parked, conditions, strict=True):
        if found := _not_parked(each, condition):
            wrong.append(found)
    if deaths > DEATHS_MAX:
        wrong.append(f"{deaths} workers had to die before the killers were quarantined")
    if seen.longest_gap_seconds > GAP_SECONDS_MAX:
        wrong.append(f"no errand ended for {seen.longest_gap_seconds:.1f} s beside poisonous code")
    return wrong


def _not_parked(parked: Parked, condition: str) -> str:
    where = f"{parked.name} is {parked.status}, {parked.condition or 'not parked'}"
    if (parked.status, parked.condition) != ("running", condition):
        return f"{where}: {parked.said or 'no word why'}"
    if condition == "blocked" and not parked.said:
        return f"{where} without a word why"
    return ""


def wants_another_round(ratios: Sequence[float], rounds: int) -> bool:
    """Whether to go on: to have as many as asked for, or because the median is too high and may be bad luck."""
    if len(ratios) < rounds:
        return True
    return median(ratios) > RATIO_MAX and len(ratios) < rounds * ROUNDS_AT_MOST_TIMES


def judge_ratios(ratios: Sequence[float]) -> list[str]:
    """What the rounds together say of the percentiles."""
    middle = median(ratios)
    if middle <= RATIO_MAX:
        return []
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    return [f"others' p99 is {middle:.2f} times that without poison, in the median of {len(ratios)} rounds ({shown})"]
