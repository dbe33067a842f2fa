"""A model answers a question: its words are read while it speaks, and its answer is a step's result."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import keepstep
from keepstep import Retry, step, workflow


@dataclass(frozen=True)
class Token:
    text: str


@step(retry=Retry(max_attempts=3, initial=0.05))
async def answer(question: str) -> str:
    words = f"{question} You had better ask somebody else.".split()
    for n, word in enumerate(words):
        await keepstep.write_stream("tokens", Token(word))
        if n == 2 and keepstep.step_info().attempt == 1:
            raise ConnectionError("the model has hung up")
        await asyncio.sleep(0.01)
    return " ".join(words)


@step(queue="translators")
def translate(text: str) -> str:
    translated = []
    for word in text.split():
        translated.append(word.upper())
        keepstep.write_stream("tokens", Token(word.upper()))
    return " ".join(translated)


@workflow
async def converse(question: str) -> str:
    keepstep.write_stream("progress", "thinking")
    said = await answer(question)
    keepstep.write_stream("progress", "translating")
    translated = await translate(said)
    keepstep.write_stream("progress", "done")
    keepstep.close_stream("progress")
    await keepstep.receive("thanks", timeout="1m")
    return translated
