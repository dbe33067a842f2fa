"""Fate: when and how a life ends, drawn from the seed before it begins."""

from __future__ import annotations

import math
from random import Random
from typing import Literal

import msgspec

Stage = Literal["born", "opened", "worked", "closing"]

STAGES: dict[Stage, tuple[float, float]] = {
    "born": (0.22, 0.06),  # the engine opens: migration, integrity check, first lease
    "opened": (0.18, 0.4),
    "worked": (0.5, 1.5),
    "closing": (0.1, 0.03),  # what is owned is given back
}
"""Share of all lives that end after a stage, and how many seconds after it at most."""

DELAY_SECONDS_MIN = 10e-6
EVEN_SHARE = 0.25
TOGETHER_SHARE = 0.04
FREEZE_SHARE = 0.04
FREEZABLE: tuple[Stage, ...] = ("opened", "worked")
FREEZE_LEASES = (2.0, 5.0)
"""How long a freeze is, in leases."""

AWAKE_SECONDS = (0.02, 1.0)
"""How long it then has to do damage."""

CLOSE_AFTER_SECONDS_MAX = 0.6
STEADY_SECONDS = (0.5, 4.0)


class Fate(msgspec.Struct, frozen=True):
    """See the module."""

    stage: Stage
    delay_seconds: float
    """After the stage: until the kill, or until the freeze."""
    frozen_seconds: float = 0.0
    """0 for a life that is not frozen."""
    awake_seconds: float = 0.0
    """After the freeze, until the kill."""
    close_after_seconds: float = 0.0
    """For a life that is to die while it closes: from its first work until it is asked to close."""
    is_together: bool = False
    """All other lives are killed with it."""


def draw_steady_fate(dice: Random) -> Fate:
    """The fate of a life that is long enough to take over from frozen ones."""
    return Fate("worked", dice.uniform(*STEADY_SECONDS))


def draw_fate(dice: Random, lease_seconds: float) -> Fate:
    """The fate of one life."""
    stages = list(STAGES)
    (stage,) = dice.choices(stages, [STAGES[each][0] for each in stages])
    fate = Fate(stage, _delay(dice, STAGES[stage][1]), is_together=dice.random() < TOGETHER_SHARE)
    if stage == "closing":
        return msgspec.structs.replace(fate, close_after_seconds=_delay(dice, CLOSE_AFTER_SECONDS_MAX))
    if stage in FREEZABLE and dice.random() < FREEZE_SHARE / sum(STAGES[each][0] for each in FREEZABLE):
        frozen = lease_seconds * dice.uniform(*FREEZE_LEASES)
        awake = dice.uniform(*AWAKE_SECONDS)
        return msgspec.structs.replace(fate, frozen_seconds=frozen, awake_seconds=awake, is_together=False)
    return fate


def _delay(dice: Random, longest: float) -> float:
    """Mostly spread over magnitudes: as many within the first tenth of a millisecond as within the last second.

    Some are spread over time, or hardly any client would live to see a result.
    """
    if dice.random() < EVEN_SHARE:
        return dice.uniform(DELAY_SECONDS_MIN, longest)
    return math.exp(dice.uniform(math.log(DELAY_SECONDS_MIN), math.log(longest)))
