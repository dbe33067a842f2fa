"""Alarms: one heap of "this run wants to act at that time" for all residents of a worker.

An alarm is not taken out when it is no longer wanted, because the run was dropped or the code has given its wait up;
it is *left behind*, and ignored when it rings (``Resident.is_due`` compares the moment). What is left behind is swept
out when it makes up half of the heap: the end of a long wait that was given up may lie days ahead, and would keep its
run in memory until then.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING

from keepstep.journal import Clock

if TYPE_CHECKING:
    from .resident import Resident

NAP_SECONDS_MAX = 3600.0

SWEEP_MIN = 50


class Alarms:
    """Rings residents when engine time has come."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, Resident, str]] = []
        self._count = 0
        self._handle: asyncio.TimerHandle | None = None
        self._armed_for = 0
        self._left_behind = 0

    def set(self, moment: int, resident: Resident, key: str) -> None:
        """Ring ``resident`` for ``key`` at engine time ``moment``."""
        self._count += 1
        heapq.heappush(self._heap, (moment, self._count, resident, key))
        if self._handle is None or moment < self._armed_for:
            self._arm()

    def leave(self, count: int) -> None:
        """So many alarms are not wanted any more."""
        self._left_behind += count
        if self._left_behind > SWEEP_MIN and self._left_behind * 2 > len(self._heap):
            self._heap = [each for each in self._heap if each[2].is_due(each[3], each[0])]
            heapq.heapify(self._heap)
            self._left_behind = 0

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        while self._heap and not self._heap[0][2].is_due(self._heap[0][3], self._heap[0][0]):
            heapq.heappop(self._heap)
            self._left_behind -= 1
        if not self._heap:
            return
        self._armed_for = self._heap[0][0]
        seconds = (self._armed_for - self._clock.now()) / 1e6
        nap = min(max(seconds, 0.0), NAP_SECONDS_MAX)
        self._handle = asyncio.get_running_loop().call_later(nap, self._ring)

    def _ring(self) -> None:
        self._handle = None
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            moment, _, resident, key = heapq.heappop(self._heap)
            if resident.is_due(key, moment):
                resident.ring(key)
            else:
                self._left_behind -= 1
        self._arm()

    def stop(self) -> None:
        """Ring nobody any more."""
        if self._handle is not None:
            self._handle.cancel()
        self._heap.clear()
