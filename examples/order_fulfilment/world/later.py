"""What happens in the world by itself, some time after somebody asked: banks decide, people pick, vans arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol


class Later(Protocol):
    """Runs something after a while."""

    def __call__(self, seconds: float, doing: Callable[[], Awaitable[None]]) -> None: ...


class Agenda:
    """Everything that is still going to happen."""

    def __init__(self) -> None:
        self._pending: set[asyncio.Task[None]] = set()

    def __call__(self, seconds: float, doing: Callable[[], Awaitable[None]]) -> None:
        """Runs ``doing`` in ``seconds`` seconds."""
        task = asyncio.create_task(_after(seconds, doing))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def drop(self) -> None:
        """Forgets all that has not happened."""
        for task in list(self._pending):
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)


async def _after(seconds: float, doing: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(seconds)
    await doing()
