"""Attempts: how often somebody may fail to log in: ``FAILURES_MAX`` times a minute from one address.

Keys are too long to be guessed, and codes of a provider are good for one browser; what is bounded is the load, on this
server and on the provider, and what the audit log gets to hold. Calls that show a key in a header are not counted: one
program with an old key must not shut out all that come from the same address.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from .refusal import Refusal

FAILURES_MAX = 10
WITHIN_SECONDS = 60.0
ADDRESSES_MAX = 10_000
"""Whose failures are remembered; those that failed longest ago are forgotten first."""


class Attempts:
    """One for a server. ``monotonic``: seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Raises ``Refusal`` for an address from which there were too many."""
        recent = self._recent(address)
        if len(recent) >= FAILURES_MAX:
            wait = math.ceil(recent[0] + WITHIN_SECONDS - self._monotonic())
            message = f"there were {FAILURES_MAX} failed log-ins from {address} within a minute; try again in {wait} s"
            raise Refusal(429, "overloaded", message, headers={"Retry-After": str(max(wait, 1))})

    def fail(self, address: str) -> None:
        """Somebody there has failed to log in."""
        self._failures[address] = [*self._recent(address), self._monotonic()][-FAILURES_MAX:]
        self._failures.move_to_end(address)
        while len(self._failures) > ADDRESSES_MAX:
            self._failures.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        since = self._monotonic() - WITHIN_SECONDS
        return [each for each in self._failures.get(address, ()) if each > since]
