"""Timer: a point in engine time at which a run wants to be woken."""

from __future__ import annotations

import msgspec


class Timer(msgspec.Struct, frozen=True, gc=False):
    """A timer of a run. Derived: the language can set it again from events and state."""

    key: str
    fire_at: int
    """Engine time, int64 UTC microseconds."""
