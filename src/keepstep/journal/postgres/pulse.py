"""Pulse: what an idle process asks every second or two, and what is remembered of the answer for a moment.

A worker without work looks for dead owners every second, and then when the next run is due; beside that it looks for
tasks and for asks. Each is a question of its own. The first one's statement answers all of them, so that an idle
process costs the server one statement a second, or one every other second where hints reach it (``looks``). When the
next run is due is good for the one question that follows at once, and until the next pulse for those who poll. That
there are neither tasks nor asks is good for whoever polls for them (and not for one who asks twice in a moment) until
the next pulse; where there are some, the process is told so as by a hint. Any hint ends all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import msgspec

from keepstep.journal.hint import HintKind
from keepstep.journal.lease import Lease, LeaseState

FRESH_SECONDS = 0.25

NONE_SECONDS = 2.5
"""Longer than from one pulse to the next."""

POLL_SECONDS_MIN = 0.5
"""Who asks more often than this does not poll."""


class Pulse(msgspec.Struct, frozen=True):
    """One look."""

    leases: list[LeaseState]
    renewed: list[str]
    """Leases of this process, which were due."""
    found: list[HintKind]


class Wake:
    """When the next run is due that a lease could claim. Used by one thread at a time."""

    def __init__(self, lease: Lease | None, types: Sequence[str] | None, monotonic: Callable[[], float]) -> None:
        self.lease_id = "" if lease is None else lease.lease_id
        self.types = types
        self._monotonic = monotonic
        pairs = [] if lease is None else sorted(set(product(lease.queues, lease.languages)))
        queues, languages = [queue for queue, _ in pairs], [language for _, language in pairs]
        self.parameters: tuple[Any, ...] = (queues, languages, self.lease_id, types)
        """Of ``statements.NEXT_WAKE``."""
        self.wake_at: int | None = None
        self._news = self._known_news = -1
        self._fresh_until = 0.0

    def note(self, wake_at: int | None, news: int) -> None:
        self.wake_at, self._news, self._fresh_until = wake_at, news, self._monotonic() + FRESH_SECONDS
        self._known_news = news

    def is_known(self, news: int) -> bool:
        """Whether nothing was hinted of since it was noted."""
        return news == self._known_news

    def is_due(self, now: int) -> bool:
        return self.wake_at is not None and self.wake_at <= now

    def is_fresh(self, news: int) -> bool:
        return news == self._news and self._monotonic() < self._fresh_until

    def take(self) -> int | None:
        self._news = -1
        return self.wake_at


class Watch:
    """Whether there is something that a process polls for."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._news = -1
        self._none_until = self._asked_at = 0.0
        self._what: object = None

    def note(self, news: int, *, is_there: bool) -> None:
        self._news = -1 if is_there else news
        self._none_until = self._monotonic() + NONE_SECONDS

    def is_surely_none(self, news: int, what: object = None) -> bool:
        """Whether there was none a moment ago, for one who asks for the same again and not for the first time."""
        now = self._monotonic()
        polls, self._asked_at = now - self._asked_at > POLL_SECONDS_MIN and what == self._what, now
        self._what = what
        return polls and news == self._news and now < self._none_until
