"""Clock: the engine's time, the wall clock anchored once and then advanced monotonically.

Within one boot of a machine, every process must agree on engine time however the wall clock is moved, or a timer set
by one process would fire early in another. A store therefore keeps the anchor (boot, boot time, engine time) that its
first opener wrote; later openers of the same boot adopt it. After a reboot the wall clock is all there is, and a new
anchor is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec

from .process import boot_id


class Clock(Protocol):
    """Where the engine gets time from."""

    def now(self) -> int:
        """Engine time, int64 UTC microseconds. Never goes backwards."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that only this process reads; for leases and time-outs."""
        ...

    def jump(self) -> int:
        """Microseconds by which the wall clock is now ahead of (or, negative, behind) engine time."""
        ...

    def anchor(self) -> ClockAnchor:
        """What to write down so that other processes of this boot can have the same engine time."""
        ...

    def adopt(self, anchor: ClockAnchor) -> None:
        """Take over an anchor written earlier, if it is of this boot; otherwise do nothing."""
        ...


class ClockAnchor(msgspec.Struct, frozen=True):
    """Engine time at a moment of a boot."""

    boot_id: str
    boot_microseconds: int
    engine_microseconds: int


_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
_boot_nanoseconds: Callable[[], int] = (
    time.monotonic_ns if _BOOT_CLOCK is None else partial(time.clock_gettime_ns, _BOOT_CLOCK)
)


def _boot_microseconds() -> int:
    return _boot_nanoseconds() // 1000


class SystemClock:
    """The real clock. Boot time includes suspension where the system can tell, so that waits go on while it sleeps."""

    def __init__(self) -> None:
        self._boot_id = boot_id()
        self._offset = time.time_ns() // 1000 - _boot_microseconds()

    def now(self) -> int:
        return _boot_nanoseconds() // 1000 + self._offset

    def monotonic(self) -> float:
        return time.monotonic()

    def jump(self) -> int:
        return time.time_ns() // 1000 - self.now()

    def anchor(self) -> ClockAnchor:
        boot = _boot_microseconds()
        return ClockAnchor(self._boot_id, boot, boot + self._offset)

    def adopt(self, anchor: ClockAnchor) -> None:
        if anchor.boot_id == self._boot_id:
            self._offset = anchor.engine_microseconds - anchor.boot_microseconds
