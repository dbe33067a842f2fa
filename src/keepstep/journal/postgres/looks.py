"""Looks: which polls of an idle process need not ask the server anything.

A worker polls once a second. Where hints reach its process, and nothing was hinted since it last looked, every second
poll is enough: what it would be told of anew is hinted, too, and a run that nobody hints of is found a second later.

Dead owners are found no later for it. Whoever can be judged from here is looked at by every poll, without the server.
Where the owner of a lease cannot be (it is on another machine), or does not live, every poll is a look: a lease that
stands still is over within its length and two polls, as it is where no hints come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keepstep.journal.lease import LeaseState, ProcessIdentity

from .pulse import POLL_SECONDS_MIN

LOOK_SECONDS = 1.7
"""A look is as good for so long: for the next poll, and not for the one after that."""


class Looks:
    """See the module. Used by one thread at a time."""

    def __init__(
        self,
        is_listening: Callable[[], bool],
        surely_lives: Callable[[ProcessIdentity], bool],
        monotonic: Callable[[], float],
    ) -> None:
        self._is_listening = is_listening
        self._surely_lives = surely_lives
        self._monotonic = monotonic
        self._owners: list[ProcessIdentity] = []
        self._news = -1
        self._looked_at = self._asked_at = float("-inf")

    def note(self, leases: Sequence[LeaseState], news: int) -> None:
        """What was seen, and what had been hinted of before that."""
        self._owners = [state.lease.process for state in leases]
        self._looked_at, self._news = self._monotonic(), news

    def can_wait(self, news: int) -> bool:
        """Whether this poll need not look; never for one who asks twice in a moment, and does not poll therefore."""
        now = self._monotonic()
        polls, self._asked_at = now - self._asked_at > POLL_SECONDS_MIN, now
        return polls and self.is_good(news) and all(map(self._surely_lives, self._owners))

    def is_good(self, news: int) -> bool:
        """Whether the last look tells what another one would, as far as hints reach."""
        is_new = self._monotonic() - self._looked_at < LOOK_SECONDS
        return is_new and news == self._news and self._is_listening()
