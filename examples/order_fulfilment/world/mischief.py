"""Decides what goes wrong: by the seed and by what it is about, never by the time or by the order of arrival."""

from __future__ import annotations

from enum import Enum
from random import Random
from typing import TypeVar

Drawn = TypeVar("Drawn")

FAULTY_REQUESTS_MAX = 3
"""A request that is not fated to fail gets through after this many faults, so that five attempts are enough."""


class Fault(Enum):
    """What goes wrong with one request."""

    NONE = "none"
    ERROR = "error"
    """500, and nothing was done."""
    BROKEN = "broken"
    """500, though everything was done."""
    SLOW = "slow"
    """Everything is done and answered, but slowly."""
    LATE = "late"
    """Everything is done, and the answer comes when the caller has given up."""


class Fate(Enum):
    """What an order is going to meet."""

    SMOOTH = "smooth"
    DECLINED = "declined"
    CHARGED_UNHEARD = "charged unheard"
    """Every answer to its charge comes too late, though the money is taken."""
    NO_LABEL = "no label"
    CARRIER_FORGETS = "carrier forgets"
    """Comes only when reminded."""
    CARRIER_NEVER_COMES = "carrier never comes"


FATES = {
    Fate.SMOOTH: 82,
    Fate.DECLINED: 6,
    Fate.CHARGED_UNHEARD: 2,
    Fate.NO_LABEL: 3,
    Fate.CARRIER_FORGETS: 4,
    Fate.CARRIER_NEVER_COMES: 3,
}
FAULTS = {Fault.ERROR: 4, Fault.BROKEN: 3, Fault.SLOW: 3, Fault.LATE: 2}
FAULTY_REQUESTS = {0: 75, 1: 15, 2: 7, FAULTY_REQUESTS_MAX: 3}
HOPELESS = {
    ("/payments/charges", Fate.CHARGED_UNHEARD): Fault.LATE,
    ("/carrier/labels", Fate.NO_LABEL): Fault.ERROR,
}


class Mischief:
    """The dice of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def fate(self, order: str) -> Fate:
        """What this order is going to meet."""
        return _draw(self._dice("fate", order), FATES)

    def fault(self, endpoint: str, order: str, nth: int) -> Fault:
        """What goes wrong with the ``nth`` request (from 1) that one endpoint gets about one order."""
        hopeless = HOPELESS.get((endpoint, self.fate(order)))
        if hopeless is not None:
            return hopeless
        dice = self._dice("fault", endpoint, order)
        if nth > _draw(dice, FAULTY_REQUESTS):
            return Fault.NONE
        return [_draw(dice, FAULTS) for _ in range(nth)][-1]

    def seconds(self, span: tuple[float, float], what: str, order: str) -> float:
        """How long something takes, within ``span``."""
        return self._dice("seconds", what, order).uniform(*span)

    def says_it_twice(self, what: str, order: str) -> bool:
        """Whether a webhook is sent a second time though the first was taken."""
        return self._dice("twice", what, order).random() < 0.1

    def _dice(self, *about: str) -> Random:
        return Random(f"{self._seed}/{'/'.join(about)}")


def _draw(dice: Random, weights: dict[Drawn, int]) -> Drawn:
    return dice.choices(list(weights), list(weights.values()))[0]
