"""Campaign: how much torture a round is, and of which kind."""

from __future__ import annotations

import msgspec


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A round is over when it has had its kills, its runs and its troubles, or when its time is up."""

    kills: int = 300
    """0 lets everybody live: only the database is in trouble."""
    runs: int = 0
    """How many are to be started at least."""
    troubles: int = 0
    """How often the database is to get into trouble at least."""
    runs_per_second: float = 10.0
    lease_seconds: float = 0.4
    """Short, so that others can judge a frozen life before they are killed themselves."""
    ending_seconds: float = 90.0
    """What is still open so long after the last kill is lost."""
    until: float = float("inf")
    """No kill after this moment of the monotonic clock."""

    def is_enough(self, *, kills: int, runs: int, troubles: int, now: float) -> bool:
        return now >= self.until or (kills >= self.kills and runs >= self.runs and troubles >= self.troubles)
