"""Ear: hears whether a run may have said something, or ended, for whoever reads along.

Hints of other processes may name no run, so that after such a one everybody looks, at most fifty times a second.
"""

from __future__ import annotations

import asyncio

from keepstep.journal import Hint, HintKind, Journal
from keepstep.worker.bell import Bell

PAUSE_SECONDS = 0.02
"""Between two looks after hints that name no run."""


class Ear:
    """See the module."""

    def __init__(self, journal: Journal, run_id: str) -> None:
        self._journal = journal
        self._run_id = run_id
        self._news = Bell()
        self._names_run = False
        journal.listen(self._hear)

    def close(self) -> None:
        self._journal.unlisten(self._hear)

    def _hear(self, hint: Hint) -> None:
        if hint.kind is HintKind.SPOKEN or hint.kind is HintKind.CLOSED:
            if self._run_id in hint.run_ids:
                self._names_run = True
                self._news.ring()
            elif not hint.run_ids:
                self._news.ring()

    def forget(self) -> None:
        """What was heard by now is being looked at."""
        self._news.clear()
        self._names_run = False

    async def listen(self, seconds: float) -> None:
        """Wait for a hint, but not longer than that."""
        if await self._news.wait(seconds) and not self._names_run:
            await asyncio.sleep(PAUSE_SECONDS)
