"""Listening: somebody reads along what a run says on its way, by one process after the other, from where they were."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from keepstep.client.engine import Engine

from .record import Hearing

Ask = Callable[[Callable[[Engine], Awaitable[None]]], Awaitable[None]]

TURNED_AWAY = 0.2
"""After so many of the values heard, the reader goes to another process."""


async def listen(hearing: Hearing, ask: Ask, chance: random.Random) -> None:
    """Read a stream to its end."""

    async def read(engine: Engine) -> None:
        handle = engine.get(hearing.workflow_id, hearing.run_id)
        after = hearing.heard[-1][0] if hearing.heard else 0
        async for said in handle.stream(hearing.stream, after=after):
            hearing.heard.append((said.position, said.value))
            if chance.random() < TURNED_AWAY:
                return
        hearing.is_over = True

    while not hearing.is_over:
        await ask(read)
