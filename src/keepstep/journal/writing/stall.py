"""Stall: a time in which this process could not write, because the disk, another process or the machine stood still.

Whoever could not write itself must not conclude from a counter that has not moved that its owner is gone: that one may
have been held up by the same thing. How long a stall matters depends on the lease that is judged.
"""

from __future__ import annotations

STALL_SECONDS_MIN = 0.05
"""Shorter ones are what writing takes."""

STALLS_KEPT_MAX = 64


class Stalls:
    """The stalls of one process. Lengths fall from first to last, because a longer one makes shorter ones forgotten."""

    def __init__(self) -> None:
        self._stalls: list[tuple[float, float]] = []
        """Seconds, and when it ended."""

    def note(self, seconds: float, ended_at: float) -> None:
        if seconds < STALL_SECONDS_MIN:
            return
        while self._stalls and self._stalls[-1][0] <= seconds:
            self._stalls.pop()
        self._stalls.append((seconds, ended_at))
        if len(self._stalls) > STALLS_KEPT_MAX:
            self._stalls.pop()
            self._stalls[-1] = (self._stalls[-1][0], ended_at)

    def last_ended_at(self, longer_than_seconds: float) -> float:
        """When the last stall ended that was longer than this; minus infinity if there was none."""
        for seconds, ended_at in reversed(self._stalls):
            if seconds > longer_than_seconds:
                return ended_at
        return float("-inf")
