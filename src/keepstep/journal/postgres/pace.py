"""Pace: by which clock a process of the store waits, and by which chance its waits differ from those of others.

A simulation hands in its own: under virtual time to sleep is to let others go on, and every number comes from a seed.
"""

from __future__ import annotations

import random
import time
from typing import Protocol

NUMBER_BITS = 62
"""Of numbers that nobody else draws."""


class Waiting(Protocol):
    """What ends a wait before its time; a ``threading.Event`` is one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> object: ...


class Pace:
    """The real one. Used by several threads."""

    def __init__(self) -> None:
        self._chance: random.Random = random.SystemRandom()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def between(self, least: float, most: float) -> float:
        """Seconds by which this process's waits differ from those of others."""
        return self._chance.uniform(least, most)

    def draw_number(self) -> int:
        """A number that nobody else draws."""
        return self._chance.getrandbits(NUMBER_BITS)


REAL = Pace()
