"""Shared: who asks for the same at the same time is answered by one reading.

When something changes, all pages that are open ask for the same page of runs at once. An answer is made of a reading
that was begun after its question had come, so that nobody is told less than was acknowledged before: those who come
while a reading is at work share the next one. Nothing is kept when nobody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, NamedTuple, TypeVar, cast

T = TypeVar("T")


class _Asked(NamedTuple):
    """What those wait for who are to share a reading that has not begun."""

    answer: asyncio.Future[Any]
    make: Callable[[], Awaitable[Any]]


class Shared:
    """One for an application."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, _Asked] = {}
        self._reading: dict[Hashable, asyncio.Task[None]] = {}

    async def read(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The answer. ``key`` says all that it depends on; who gives the same may be answered by another's ``make``.

        Raises what that raises.
        """
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = _Asked(asyncio.get_running_loop().create_future(), make)
            if key not in self._reading:
                self._reading[key] = asyncio.create_task(self._read(key))
        return cast(T, await asyncio.shield(asked.answer))

    async def _read(self, key: Hashable) -> None:
        """As long as somebody asks."""
        try:
            while (asked := self._asked.pop(key, None)) is not None:
                try:
                    made = await asked.make()
                except Exception as error:
                    asked.answer.set_exception(error)
                    asked.answer.exception()  # whoever waited may be gone, and that is no news
                except BaseException:  # the loop is being closed
                    asked.answer.cancel()
                    raise
                else:
                    asked.answer.set_result(made)
        finally:
            del self._reading[key]
            if (left := self._asked.pop(key, None)) is not None:
                left.answer.cancel()
