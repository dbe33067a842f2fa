"""Restraint: a process that cannot read the tasks of a queue leaves that queue to others for a while.

A task that it cannot read is put back at once, for whoever can. Were it to look again at once, too, it would be the
first to take it every time. It looks again after a second, and then after twice as long each time, until it reads one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

PAUSE_SECONDS_FIRST, PAUSE_SECONDS_MAX = 1.0, 30.0


class Restraint:
    """See the module."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._paused: dict[str, tuple[float, float]] = {}
        """By queue: until when, and how long it has been left alone for."""

    def open_queues(self, queues: Sequence[str]) -> list[str]:
        """Those of the queues that are not left alone."""
        now = self._monotonic()
        return [queue for queue in queues if queue not in self._paused or self._paused[queue][0] <= now]

    def seconds_left(self, queues: Sequence[str]) -> float:
        """Until one of them is looked at again."""
        now = self._monotonic()
        return max(min((self._paused[queue][0] for queue in queues if queue in self._paused), default=now) - now, 0.0)

    def leave(self, queue: str) -> None:
        """Something on it could not be read."""
        _, pause = self._paused.get(queue, (0.0, PAUSE_SECONDS_FIRST / 2))
        pause = min(pause * 2, PAUSE_SECONDS_MAX)
        self._paused[queue] = self._monotonic() + pause, pause

    def go_on(self, queue: str) -> None:
        """Something on it could be read."""
        self._paused.pop(queue, None)
