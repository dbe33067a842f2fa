"""What the world is told at its start: how much stock there is, how fast people are, which seed draws the trouble."""

from __future__ import annotations

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """Everything that can be chosen about the world. Durations are (shortest, longest), in seconds."""

    seed: int
    stock: int
    doors: tuple[str, ...] = ()
    """Other addresses where callbacks are taken, tried when the one that was given does not answer."""
    bank: tuple[float, float] = (0.1, 1.0)
    picking: tuple[float, float] = (0.3, 2.0)
    driving: tuple[float, float] = (0.3, 2.0)
    driving_once_reminded: tuple[float, float] = (0.2, 1.0)
    slow: tuple[float, float] = (0.2, 0.8)
    late: float = 2.5
    """How long an answer takes that nobody waits for; longer than the steps' time-out."""
