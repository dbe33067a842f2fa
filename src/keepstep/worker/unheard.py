"""Unheard: what the journal may have granted to this worker although it answered with an error.

A claim whose answer is lost leaves runs and tasks with this worker's lease that it does not know of; nobody else is
offered them while the lease lives. So after a claim has failed, the worker looks for a lease's length at what its lease
holds, and takes up what it has not in hand.
"""

from __future__ import annotations

from keepstep.journal import Clock


class Doubt:
    """Whether a claim may have been granted unheard."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._until: float | None = None

    def begin(self) -> None:
        """A claim has failed, and nobody knows whether it happened."""
        self._until = self._clock.monotonic() + self._seconds

    def wants_a_look(self) -> bool:
        """Whether to look now.

        The last look is one that begins so long after the last failure that nothing can be on its way any more, however
        long the store kept its asker waiting in between.
        """
        if self._until is None:
            return False
        if self._clock.monotonic() >= self._until:
            self._until = None
        return True
