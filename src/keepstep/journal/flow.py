"""Flow: how many runs began and ended in each of several stretches of time, for whoever draws a curve of it.

A store counts along its indexes and looks at a few runs of each stretch and status, so that an answer takes as long for
a million runs as for ten thousand. Where there are more than ``COUNTED_MAX`` in a stretch it stops, and tells how far
it came in time, so that the rest can be estimated (``Count.estimate``).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .errors import InvalidInput
from .run import Status

COUNTED_MAX = 500
"""Of one stretch, and of each status, no more are counted."""

SAMPLED_MAX = 20
"""Of so many of each stretch and status is told how long they took, and of which type they were."""

STRETCHES_MAX = 400

CLOSED = tuple(status for status in Status if status is not Status.RUNNING)


class Window(msgspec.Struct, frozen=True):
    """``stretches`` of ``width`` microseconds each, from ``since`` on."""

    since: int
    width: int
    stretches: int

    def check(self) -> None:
        """Raises ``InvalidInput`` for one that cannot be drawn."""
        if self.width < 1 or not 1 <= self.stretches <= STRETCHES_MAX:
            raise InvalidInput(f"a flow has 1 to {STRETCHES_MAX} stretches of some length, not {self!r}")

    def place_of(self, time: int) -> int | None:
        """In which of its stretches a moment is; None if it is in none."""
        place = (time - self.since) // self.width
        return place if 0 <= place < self.stretches else None


class Count(msgspec.Struct, frozen=True):
    """How many of something there were in a stretch."""

    counted: int = 0
    last_at: int = 0
    """Engine time of the last one that was counted."""

    def estimate(self, began: int, width: int) -> float:
        """How many there were, as far as can be told: where counting has ended, the rest is taken to be as dense.

        ``began``: of the stretch; ``width``: of it.
        """
        if self.counted < COUNTED_MAX:
            return self.counted
        return max(self.counted * width / max(self.last_at - began, 1), float(self.counted))


class Sampled(msgspec.Struct, frozen=True):
    """One of the runs that ended."""

    type: str
    microseconds: int
    """From start to close."""


class Ended(msgspec.Struct, frozen=True):
    """Those of a stretch that ended in one way."""

    count: Count
    sample: Sequence[Sampled]
    """The first of them."""


class Stretch(msgspec.Struct, frozen=True):
    """What happened between two moments."""

    started: Count
    ended: dict[Status, Ended]
    """Of every way in which one did."""
