"""Renewal: when the leases of this process are renewed, and how it notices that one was taken away.

The event loop says which leases are kept; whatever drives the writer renews them. A renewal counts once its
transaction is committed, so that one which was rolled back is done again at the next try.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

log = logging.getLogger("keepstep.journal")

RENEWALS_PER_LEASE = 3


class Renewals:
    """The open leases of this process."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._pauses: dict[str, float] = {}
        """Seconds between two renewals of each lease."""
        self._due_at = float("inf")
        self._renewed_at = 0.0
        self._lost: list[str] = []

    def keep(self, lease_id: str, lease_seconds: float) -> None:
        """Renew a lease from now on."""
        pause = lease_seconds / RENEWALS_PER_LEASE
        self._pauses[lease_id] = pause
        self._due_at = min(self._due_at, self._monotonic() + pause)

    def let_go(self, lease_id: str) -> None:
        self._pauses.pop(lease_id, None)

    def lease_ids(self) -> list[str]:
        return list(self._pauses)

    def hasten(self) -> None:
        """Renew all at the next occasion, whether it is time or not; where renewal is suspended, it stays so."""
        if self._pauses and self._due_at != float("inf"):
            self._due_at = 0.0

    def suspend(self) -> None:
        """Renew nothing until another lease is kept."""
        self._due_at = float("inf")

    def now(self) -> float:
        """By the clock that says when they are due."""
        return self._monotonic()

    def seconds_left(self) -> float:
        return self._due_at - self._monotonic()

    def is_due(self) -> bool:
        return self._monotonic() >= self._due_at

    def renew(self, move: Callable[[Sequence[str]], Collection[str]]) -> None:
        """Have the counters of all own leases moved, and notice those that were taken away.

        ``move`` moves the counters of the leases of these ids, and returns the ids of those that are there.
        """
        self._renewed_at = self._monotonic()
        lease_ids = self.lease_ids()
        still_there = move(lease_ids)
        for lease_id in lease_ids:
            if lease_id not in still_there:
                self.let_go(lease_id)
                self._lost.append(lease_id)
                log.error("lease %s was taken away: this process did not renew it in time", lease_id)

    def settle(self) -> None:
        """What ``renew`` did is committed."""
        self._due_at = self._renewed_at + min(list(self._pauses.values()), default=float("inf"))

    def note(self, lease_ids: Collection[str], renewed_at: float) -> None:
        """Somebody else in this process has had counters moved. Where it was all of them, none is due for a while."""
        if self._pauses and self._pauses.keys() <= set(lease_ids):
            self._due_at = renewed_at + min(self._pauses.values())

    def take_lost(self) -> list[str]:
        """The leases that were found to be taken away, each once."""
        lost, self._lost = self._lost, []
        return lost
