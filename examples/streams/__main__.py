"""``python -m examples.streams DATABASE_URL``: asks once, and reads along from another client, cut off once."""

from __future__ import annotations

import asyncio
import sys

from keepstep import Engine, RunHandle

from .answer import Token, converse


async def progress(run: RunHandle[str]) -> list[str]:
    """What the workflow itself says; over as soon as that is closed, although the run goes on."""
    return [said.value async for said in run.stream("progress", str)]


async def first_words(run: RunHandle[str]) -> tuple[str, int]:
    """What a browser has shown when its connection breaks: some text, and the position that it is at."""
    shown: list[str] = []
    async for said in run.stream("tokens", Token):
        shown.append(said.value.text)
        if len(shown) == 2:
            return " ".join(shown), said.position
    raise AssertionError("it says more than that")


async def other_words(run: RunHandle[str], position: int) -> list[str]:
    """It goes on there. A new attempt begins anew, and so does the text; so does another step."""
    texts: list[list[str]] = [[]]
    speaker: tuple[str | None, int] | None = None
    async for said in run.stream("tokens", Token, after=position):
        if speaker not in (None, (said.step, said.attempt)):
            texts.append([])
        speaker = said.step, said.attempt
        texts[-1].append(said.value.text)
    return [" ".join(text) for text in texts]


async def main(url: str) -> None:
    async with Engine(url, queues=("default", "translators")) as engine, Engine(url, workers=False) as client:
        await engine.start(converse, "Why?", id="talk-1")
        run: RunHandle[str] = client.get("talk-1")
        shown, position = await first_words(run)
        print(f"at first: {shown}")
        print(f"progress: {', '.join(await progress(run))}")
        await run.signal("thanks")
        for text in await other_words(run, position):
            print(f"then: {text}")
        print(f"result: {await run.result()}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
