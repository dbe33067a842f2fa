"""Renewal: the store moves the counters of its own leases, and watches those of others.

A lease is over when its counter has not moved for its length on the watcher's own monotonic clock, counted from when
the watcher first saw that count, or when its process is known to be dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from keepstep.journal.clock import Clock
from keepstep.journal.lease import ProcessIdentity

from .disk import LeaseRow, MemoryDisk

RENEWALS_PER_LEASE = 3


class Renewals:
    """The leases that this handle keeps alive, each by a timer of the loop."""

    def __init__(self, disk: MemoryDisk, on_beat: Callable[[], None]) -> None:
        self._disk = disk
        self._on_beat = on_beat
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def holds(self, lease_id: str) -> bool:
        return lease_id in self._timers

    def lease_ids(self) -> list[str]:
        return list(self._timers)

    def begin(self, lease_id: str, lease_seconds: float) -> None:
        seconds = lease_seconds / RENEWALS_PER_LEASE
        self._timers[lease_id] = asyncio.get_running_loop().call_later(seconds, self._renew, lease_id, lease_seconds)

    def end(self, lease_id: str) -> None:
        timer = self._timers.pop(lease_id, None)
        if timer is not None:
            timer.cancel()

    def end_all(self) -> None:
        for lease_id in self.lease_ids():
            self.end(lease_id)

    def _renew(self, lease_id: str, lease_seconds: float) -> None:
        self._disk.leases[lease_id].counter += 1
        self.begin(lease_id, lease_seconds)
        self._on_beat()


class Watch:
    """What this handle has seen of all leases."""

    def __init__(self, clock: Clock, is_surely_dead: Callable[[ProcessIdentity], bool]) -> None:
        self._clock = clock
        self._is_surely_dead = is_surely_dead
        self._seen: dict[str, tuple[int, float]] = {}

    def is_over(self, row: LeaseRow) -> bool:
        """Look at a lease. The first look at a count only begins to measure."""
        if self._is_surely_dead(row.process):
            return True
        now = self._clock.monotonic()
        counter, since = self._seen.get(row.lease.lease_id, (-1, now))
        if counter != row.counter:
            self._seen[row.lease.lease_id] = (row.counter, now)
            return False
        return now - since >= row.lease.lease_seconds

    def forget_all_but(self, open_leases: dict[str, LeaseRow]) -> None:
        self._seen = {lease_id: seen for lease_id, seen in self._seen.items() if lease_id in open_leases}
