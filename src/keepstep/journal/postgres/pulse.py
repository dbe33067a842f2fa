"""Pulse: what an idle process asks once a second, and what is remembered of the answer for a moment.

A worker without work looks for dead owners, and then when the next run is due; each is a question of its own. The first
one's statement answers the second, too, so that an idle process costs the server one statement a second. The answer is
good for the one question that follows at once, and only if no hint has come in between.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import product
from typing import Any

from keepstep.journal.lease import Lease

FRESH_SECONDS = 0.25


class Wake:
    """When the next run is due that a lease could claim. Used by one thread at a time."""

    def __init__(self, lease: Lease | None, types: Sequence[str] | None) -> None:
        self.lease_id = "" if lease is None else lease.lease_id
        self.types = types
        pairs = [] if lease is None else sorted(set(product(lease.queues, lease.languages)))
        queues, languages = [queue for queue, _ in pairs], [language for _, language in pairs]
        self.parameters: tuple[Any, ...] = (queues, languages, self.lease_id, types)
        """Of ``statements.NEXT_WAKE``."""
        self._wake_at: int | None = None
        self._news = -1
        self._fresh_until = 0.0

    def note(self, wake_at: int | None, news: int) -> None:
        self._wake_at, self._news, self._fresh_until = wake_at, news, time.monotonic() + FRESH_SECONDS

    def is_fresh(self, news: int) -> bool:
        return news == self._news and time.monotonic() < self._fresh_until

    def take(self) -> int | None:
        self._news = -1
        return self._wake_at


NO_WAKE = Wake(None, None)
