"""Calls: how often a process has itself called by the hints of others, if they call it in vain.

A hint says what kind of thing may be there, and not for whom: whoever hears that a run is ready asks whether it is one
for him. In a fleet most of those who hear it serve other queues, or come too late. So a process that was called and has
found nothing is called again only after a pause, which doubles from call to call (``PAUSE_SECONDS_MAX``); what comes
meanwhile is one call. One that finds something, or has heard nothing for a while, is called at once.

Only what is looked for in vain waits: that runs or tasks may be there to claim. Messages, questions and lost leases are
told at once. The first call after a pause is never late, so that where there is little to do nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keepstep.journal.hint import HintKind

PATIENT = (HintKind.READY, HintKind.TASKS)

PAUSE_SECONDS_FIRST = 0.002
PAUSE_SECONDS_MAX = 0.05

QUIET_SECONDS = 1.0
"""After so long without a call, what was in vain before counts no more."""


class Calls:
    """See the module. ``finds`` counts what the process has found of that for which it is called."""

    def __init__(self, finds: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._finds = finds
        self._monotonic = monotonic
        self._found = -1
        self._pause_seconds = 0.0
        self._called_at = float("-inf")
        self._held_back: dict[HintKind, None] = {}

    def hear(self, kinds: Sequence[HintKind]) -> list[HintKind]:
        """What to call the process at once: of these kinds, and of those that were held back before."""
        at_once = [kind for kind in kinds if kind not in PATIENT]
        self._held_back.update(dict.fromkeys(kind for kind in kinds if kind in PATIENT))
        if self._held_back and self._seconds_left() <= 0:
            at_once += self._held_back
            self._held_back.clear()
            self._count()
        return at_once

    def milliseconds_left(self) -> int | None:
        """How long until ``hear`` has something to call for, though nothing more is heard; None for ever."""
        return max(round(self._seconds_left() * 1000 + 0.5), 0) if self._held_back else None

    def _seconds_left(self) -> float:
        pause = 0.0 if self._finds() != self._found else self._pause_seconds
        return self._called_at + pause - self._monotonic()

    def _count(self) -> None:
        now, finds = self._monotonic(), self._finds()
        if finds != self._found or now - self._called_at > QUIET_SECONDS:
            self._pause_seconds = 0.0
        else:
            self._pause_seconds = min(max(self._pause_seconds * 2, PAUSE_SECONDS_FIRST), PAUSE_SECONDS_MAX)
        self._found, self._called_at = finds, now
