"""Guest: a language beside Python whose runs are decided in this worker, under its lease.

What a guest gets by that: its runs are found by the question for due runs that the worker asks anyway, so that a guest
without work costs nothing, and what this process holds when it dies is given back by whoever finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from keepstep.journal import Run


class Guest(Protocol):
    """What the worker knows of one."""

    @property
    def language(self) -> str:
        """Of its runs."""
        ...

    @property
    def queue(self) -> str:
        """Where its runs are offered; every worker that has this guest serves it."""
        ...

    @property
    def types(self) -> tuple[str, ...]:
        """Of its runs; no workflow has such a name."""
        ...

    async def take_up(self, runs: Sequence[Run]) -> None:
        """Decide for runs that the lease owns by now, and give them back. Never raises for what is wrong with one."""
        ...
