"""Trouble between a simulated process and its PostgreSQL server: what becomes of one exchange.

Each process has a ``Line`` of its own. Every exchange takes a while on its way there and back, in which others go on,
and a share of them meets a ``Fault``. A connection that is lost is lost for good: the store has to connect anew, and
that can fail as well. The server itself can be away for a while (``Outage``).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum, auto

from .track import this_track

FAULTS_SHARE = 0.006
"""Of all exchanges, and of all tries to connect."""

SLOW_SECONDS_MAX = 0.6
TIME_OUT_SECONDS_MAX = 2.5
STRAY_SECONDS_MAX = 1.0
HINT_SECONDS_MAX = 0.05
HINTS_LOST = 0.05

OUTAGES_SHARE = 0.3
"""Of all stories."""

OUTAGE_SECONDS_MAX = 2.5
OUTAGE_BEGINS_SECONDS_MAX = 9.0


class Fault(Enum):
    """What can happen to an exchange."""

    REFUSED = auto()
    """The connection breaks, and nothing has happened."""
    LOST = auto()
    """The connection breaks, and it has happened: where COMMIT was among it, it is committed."""
    TIMED_OUT = auto()
    """The same, and it takes long to notice. The session is idle meanwhile, perhaps in a transaction."""
    STRAY = auto()
    """The connection breaks, and what was on its way is executed later, when the process has another one already."""
    SLOW = auto()
    """The answer takes long."""
    WARNED = auto()
    """The server warns, as it does at COMMIT when its standby has not confirmed it."""


DrawFault = Callable[[], Fault | None]
"""Asked for each exchange, and for each try to connect."""


def drawn(chance: random.Random) -> DrawFault:
    """A share of all."""
    faults = list(Fault)
    return lambda: chance.choice(faults) if chance.random() < FAULTS_SHARE else None


class Line:
    """How one process reaches its server."""

    def __init__(
        self,
        seconds: Callable[[], float],
        chance: random.Random,
        draw: DrawFault,
        disturb: Callable[[], None],
    ) -> None:
        """``seconds``: one way of an exchange; ``disturb``: called when something takes long that others may notice."""
        self.chance = chance
        self.draw = draw
        self.disturb = disturb
        self._seconds = seconds

    def travel(self) -> None:
        this_track().sleep(self._seconds())

    def wait(self, seconds_max: float) -> None:
        """A wait that can keep the process from what it has to do in time."""
        self.disturb()
        this_track().sleep(self.chance.random() * seconds_max)
        self.disturb()
