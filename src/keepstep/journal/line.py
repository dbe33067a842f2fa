"""Line: the order in which runs that are due are claimed: longest due first.

A run is due when its time has come, as that of a timer does, or *at once*: it was started, spoken to or given back.
What is due at once stands in line since it was said so, or those that wait for their time would starve behind it, and
a burst of schedules behind what its own runs have to tell. But it is due by every clock, as a plain time would not be
where machines do not agree on the time. So the stores write such a time down by ``at_once``: far in the past.
"""

from __future__ import annotations

AT_ONCE = 0
"""As a wake time is asked for, and told."""

FAR = 1 << 62
"""Microseconds; a wake time that is not positive is one of at once."""

SINCE = f"CASE WHEN {{0}} < 0 THEN {{0}} + {FAR} ELSE {{0}} END"
"""In SQL: since when it has been due, of a wake time as it is stored."""


def at_once(now: int) -> int:
    """As the stores write it: due in any case, in line since now."""
    return now - FAR


def told(wake_at: int | None) -> int | None:
    """A wake time as the journal tells it."""
    return wake_at if wake_at is None or wake_at > 0 else AT_ONCE
