"""People: they look for tasks that runs have for them, and answer; some twice, in other words, or with nonsense."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from keepstep.journal import InvalidInput, JournalError, NotFound

from .fleet import Fleet
from .process import Died
from .record import NONSENSE, PersonsAnswer

LOOK_SECONDS = 0.6
AGAIN, NONSENSICAL = 0.3, 0.25
"""Of the answers, those that somebody else gives once more, and those before which somebody says what is no answer."""


class People:
    """See the module's docstring. Each answer is a number of its own, so that it is known by what came of it."""

    def __init__(self, fleet: Fleet, seed: str) -> None:
        self._fleet = fleet
        self._chance = random.Random(f"{seed}/people")
        self._seen: set[str] = set()

    async def run(self) -> None:
        """Look and answer for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            alive = [each for each in self._fleet.alive() if each.is_open]
            if not alive:
                continue
            process = self._chance.choice(alive)
            try:
                tokens = await process.call(self._list(process.engine))
            except (Died, JournalError):
                continue
            for token in tokens:
                if token not in self._seen:
                    self._seen.add(token)
                    await self._answer_in_turn(token)

    async def _list(self, engine: Any) -> list[str]:
        return [task.token async for task in engine.human_tasks()]

    async def _answer_in_turn(self, token: str) -> None:
        if self._chance.random() < NONSENSICAL:
            await self._answer(token, NONSENSE)
        await self._answer(token, len(self._fleet.record.persons_answers))
        if self._chance.random() < AGAIN:
            await self._answer(token, len(self._fleet.record.persons_answers))

    async def _answer(self, token: str, value: int | str) -> None:
        alive = [each for each in self._fleet.alive() if each.is_open]
        if not alive:
            return
        process = self._chance.choice(alive)
        answer = PersonsAnswer(token, value, self._fleet.now())
        self._fleet.record.persons_answers.append(answer)
        try:
            by = (
                "ann" if len(self._fleet.record.persons_answers) % 2 else ""
            )  # which travels as another kind of message
            await process.call(process.engine.complete_callback(token, value, by=by))
            answer.told = self._fleet.now()
        except InvalidInput:
            answer.is_refused = True
        except (Died, JournalError, NotFound):
            """Nobody knows whether it was heard."""
