"""Runs one program on an engine in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from keepstep import Engine
from keepstep.testing import run
from tests.runtime.crashing import World


def on_an_engine(program: Callable[[Engine], Awaitable[Any]], **options: Any) -> Any:
    """What the program returns; the engine is closed after it."""

    async def main() -> Any:
        world = World()
        engine = await world.open(**{"poll_seconds": 30.0, **options})
        result = await program(engine)
        await world.close()
        return result

    return run(main)
