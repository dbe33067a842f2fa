"""Calls back: at least once, sometimes twice, and again and again while nobody answers."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2

from .books import Books
from .later import Later
from .mischief import Mischief

ATTEMPTS_MAX = 200
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
SETTLED = (409, 410)
"""Answers that mean "do not come again": it was said before, or nobody waits any more."""


class Callback(Protocol):
    """Says something to whoever waits at an address."""

    async def __call__(self, order: str, what: str, url: str, news: dict[str, Any]) -> None: ...


class Webhooks:
    """Delivers what the world has to say."""

    def __init__(
        self, books: Books, mischief: Mischief, later: Later, client: httpx2.AsyncClient, doors: tuple[str, ...] = ()
    ) -> None:
        self._books = books
        self._mischief = mischief
        self._later = later
        self._client = client
        self._doors = doors

    async def __call__(self, order: str, what: str, url: str, news: dict[str, Any]) -> None:
        """Delivers ``news``: now if somebody takes it, else later, and once more where mischief says so."""
        await self._deliver(order, what, url, news, attempt=1)
        if self._mischief.says_it_twice(what, order):
            await self._deliver(order, what, url, news, attempt=1)

    async def _deliver(self, order: str, what: str, url: str, news: dict[str, Any], attempt: int) -> None:
        address = self._address(url, attempt)
        outcome = await self._post(address, news)
        self._books.add_delivery(order, what, address, attempt, outcome)
        if outcome.startswith("2") or outcome in map(str, SETTLED) or attempt == ATTEMPTS_MAX:
            return

        async def again() -> None:
            await self._deliver(order, what, url, news, attempt + 1)

        self._later(min(FIRST_PAUSE_SECONDS * 1.5**attempt, LONGEST_PAUSE_SECONDS), again)

    def _address(self, url: str, attempt: int) -> str:
        """The address given at the odd attempts, and the other doors in turn at the even ones."""
        path = urlsplit(url).path
        others = [door + path for door in self._doors if not url.startswith(door)]
        return url if attempt % 2 or not others else others[attempt // 2 % len(others)]

    async def _post(self, address: str, news: dict[str, Any]) -> str:
        try:
            answer = await self._client.post(address, json=news)
        except httpx2.HTTPError as error:
            return type(error).__name__
        return str(answer.status_code)
