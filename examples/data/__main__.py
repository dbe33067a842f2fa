"""Posts letters under one key, replaces it while they wait, and lets them go on without it."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

from keepstep import Engine
from keepstep.codecs import Codec, FileBlobs, Keys
from keepstep.codecs.keys import new_key
from keepstep.codecs.resealing import reseal
from keepstep.journal import cell_of
from keepstep.journal.kept import KeptIn

from .clinic import Letter, Rejected, Signed, post_letter


async def keys_in_use(engine: Engine) -> str:
    """Under which keys the events lie on disk."""
    found: Counter[str] = Counter()
    for kept in await engine.journal.read_kept(KeptIn.EVENTS):
        cell = cell_of(kept.data)
        found[cell.key_id if cell is not None else "no key"] += 1
    return ", ".join(f"{count} events under {key}" for key, count in sorted(found.items()))


async def post_letters(url: str, codec: Codec) -> list[str]:
    async with Engine(url, codec=codec) as engine:
        await engine.start(post_letter, Letter("Ada", "Moor", bytes(300_000)), id="letter-1")
        await engine.start(post_letter, Letter("Ben", "Cole", b"a short note"), id="letter-2")
        return [await keys_in_use(engine)]


async def replace_key(url: str, codec: Codec) -> list[str]:
    async with Engine(url, codec=codec) as engine:  # a worker, which goes on meanwhile
        done = await reseal(engine.journal, codec, lambda where, done: None)
        assert not done.unreadable
        return [await keys_in_use(engine)]


async def answer_letters(url: str, codec: Codec) -> list[str]:
    async with Engine(url, codec=codec) as engine:
        await engine.signal("letter-1", "answer", Signed("Dr. Fox"))
        await engine.signal("letter-2", "answer", Rejected("no date"))
        return [await engine.get(f"letter-{n}").result() for n in (1, 2)]


async def main(url: str, folder: Path) -> None:
    blobs = FileBlobs(folder / "blobs")
    first, second = new_key(), new_key()

    def codec(**keys: str) -> Codec:
        return Codec(keys=Keys(keys), blobs=blobs)

    said = await post_letters(url, codec(first=first))
    said.append(f"{len(list(blobs.list()))} scan is kept beside the database")
    said += await replace_key(url, codec(first=first, second=second))
    said += await answer_letters(url, codec(second=second))
    print("\n".join(said))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{place}/clinic.db", Path(place)))
