"""Stores two files, of which one is too large, on a database that it makes if it is missing."""

from __future__ import annotations

import asyncio
import sys

from keepstep import Engine

from .upload import shelf, store_file


async def store_two(engine: Engine) -> list[str]:
    """What became of them, and what is stored in the end."""
    small = await engine.start(store_file, "small.zip", 1, id="small")
    large = await engine.start(store_file, "large.zip", 100, id="large")
    said = [await small.result(), await large.result()]
    return [*said, f"stored: {shelf}"]


async def main(url: str) -> None:
    async with Engine(url) as engine:
        for line in await store_two(engine):
            print(line)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "memory:"))
