"""Bell: wakes a loop that waits for news, but not for longer than it says.

It is what ``asyncio.Event`` within ``asyncio.timeout`` would be, for one who waits. A worker's loops wait often, and
mostly in vain. A limit of asyncio's is an error that travels through the task and is caught again, which costs several
times as much as all the rest of the wait.
"""

from __future__ import annotations

import asyncio


class Bell:
    """See the module's docstring. Once rung it stays so, and nobody waits, until it is cleared."""

    __slots__ = ("_is_rung", "_waiting")

    def __init__(self) -> None:
        self._is_rung = False
        self._waiting: asyncio.Future[bool] | None = None

    def ring(self) -> None:
        self._is_rung = True
        if self._waiting is not None:
            _answer(self._waiting, True)

    def clear(self) -> None:
        self._is_rung = False

    async def wait(self, seconds: float) -> bool:
        """Wait until it is rung, but at most so long; True if it was. One at a time."""
        if self._is_rung:
            return True
        assert self._waiting is None, "two wait for one bell"
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting = waiting
        limit = loop.call_later(seconds, _answer, waiting, False)
        try:
            return await waiting
        finally:
            self._waiting = None
            limit.cancel()


def _answer(waiting: asyncio.Future[bool], was_rung: bool) -> None:
    if not waiting.done():
        waiting.set_result(was_rung)
