"""Clock: a server's engine time, as its clients have it: this machine's clock, and how far the server's is ahead."""

from __future__ import annotations

import time

from keepstep.journal.clock import ClockAnchor
from keepstep.journal.process import boot_id

AGREED_SECONDS_MAX = 60.0
"""So long the difference holds; then the server is asked again, with the next call."""


class RemoteClock:
    """``Clock``. It never goes backwards, even where the server's time turns out to be behind what was taken for it."""

    def __init__(self) -> None:
        self._ahead = 0
        self._agreed_at: float | None = None
        self._last = 0

    def now(self) -> int:
        self._last = max(self._last, time.time_ns() // 1000 + self._ahead)
        return self._last

    def monotonic(self) -> float:
        return time.monotonic()

    def jump(self) -> int:
        return -self._ahead

    def anchor(self) -> ClockAnchor:
        return ClockAnchor(boot_id(), 0, self.now())

    def adopt(self, anchor: ClockAnchor) -> None:
        """The server's store has its own."""

    @property
    def is_agreed(self) -> bool:
        """Whether the server has been asked lately."""
        return self._agreed_at is not None and self.monotonic() - self._agreed_at < AGREED_SECONDS_MAX

    def agree(self, server_now: int, asked_at: float) -> None:
        """The server has said what time it is. ``asked_at``: when it was asked, on this clock's ``monotonic``."""
        half = round((self.monotonic() - asked_at) * 1e6 / 2)
        self._ahead = server_now + half - time.time_ns() // 1000
        self._agreed_at = self.monotonic()
