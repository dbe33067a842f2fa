"""Starting an id anew while others hold its older runs, and while it changes under the caller's hands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import keepstep
from keepstep import Engine, RunClosed, RunHandle, workflow
from keepstep.journal.memory import MemoryDisk, MemoryJournal
from keepstep.testing import VirtualClock, VirtualLoop, run


@workflow
async def wait_for_word(n: int) -> str:
    return f"{n}: {await keepstep.receive('word', str)}"


@workflow
class CountWords:
    def __init__(self) -> None:
        self.words: list[str] = []

    async def run(self, n: int) -> list[str]:
        await keepstep.wait_for(lambda: len(self.words) >= n)
        return self.words

    @keepstep.update
    def add_word(self, word: str) -> list[str]:
        self.words.append(word)
        return self.words

    @keepstep.query
    def words_so_far(self) -> list[str]:
        return self.words


class OvertakenJournal(MemoryJournal):
    """Somebody else is quicker: something happens between the next look at a run and what is then done to it."""

    overtake: Callable[[], Awaitable[object]] | None = None

    async def find_run(self, namespace: str, workflow_id: str) -> Any:
        found = await super().find_run(namespace, workflow_id)
        overtake, self.overtake = self.overtake, None
        if overtake is not None:
            await overtake()
        return found


def on_one_engine(program: Callable[[Engine, OvertakenJournal], Awaitable[None]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        journal = OvertakenJournal(MemoryDisk(), clock=VirtualClock(loop))
        async with Engine(journal=journal) as engine:
            await program(engine, journal)

    run(main)


async def complete(handle: RunHandle[str]) -> None:
    await handle.signal("word", "done")
    await handle.result()


def test_the_result_of_a_run_follows_every_restart_of_it() -> None:
    async def program(engine: Engine, _: OvertakenJournal) -> None:
        first = await engine.start(wait_for_word, 1, id="x")
        waiting = asyncio.ensure_future(first.result())
        await engine.start(wait_for_word, 2, id="x", if_running="restart")
        third = await engine.start(wait_for_word, 3, id="x", if_running="restart")
        await third.signal("word", "hello")
        assert await waiting == "3: hello"
        assert await first.result() == "3: hello"

    on_one_engine(program)


def test_the_result_of_a_restarted_run_stays_the_same_when_the_id_is_started_anew_later() -> None:
    async def program(engine: Engine, _: OvertakenJournal) -> None:
        first = await engine.start(wait_for_word, 1, id="x")
        second = await engine.start(wait_for_word, 2, id="x", if_running="restart")
        await complete(second)
        await engine.start(wait_for_word, 4, id="x", if_closed="restart")
        assert await first.result() == "2: done"

    on_one_engine(program)


def test_a_restart_of_a_run_that_ends_meanwhile_starts_as_told_for_a_closed_one() -> None:
    async def program(engine: Engine, journal: OvertakenJournal) -> None:
        first = await engine.start(wait_for_word, 1, id="x")
        journal.overtake = lambda: complete(first)
        second = await engine.start(wait_for_word, 1, id="x", if_running="restart", if_closed="restart")
        assert second.run_id != first.run_id
        assert (await first.result(), (await second.describe()).status) == ("1: done", "running")

    on_one_engine(program)


def test_a_restart_that_another_one_overtakes_restarts_the_newer_run() -> None:
    async def program(engine: Engine, journal: OvertakenJournal) -> None:
        first = await engine.start(wait_for_word, 1, id="x")
        journal.overtake = lambda: engine.start(wait_for_word, 2, id="x", if_running="restart")
        third = await engine.start(wait_for_word, 3, id="x", if_running="restart")
        await complete(third)
        assert await first.result() == "3: done"

    on_one_engine(program)


def test_terminate_of_an_id_reaches_the_run_that_took_the_place_of_the_one_it_saw() -> None:
    async def program(engine: Engine, journal: OvertakenJournal) -> None:
        await engine.start(wait_for_word, 1, id="x")
        journal.overtake = lambda: engine.start(wait_for_word, 2, id="x", if_running="restart")
        await engine.get("x").terminate("enough")
        assert (await engine.get("x").describe()).error == "terminated: enough"

    on_one_engine(program)


def test_terminate_of_a_certain_run_leaves_alone_what_took_its_place() -> None:
    async def program(engine: Engine, _: OvertakenJournal) -> None:
        first = await engine.start(wait_for_word, 1, id="x")
        await engine.start(wait_for_word, 2, id="x", if_running="restart")
        with pytest.raises(RunClosed):
            await first.terminate()
        assert (await engine.get("x").describe()).status == "running"

    on_one_engine(program)


def test_an_update_of_the_newest_run_goes_to_the_one_that_has_just_taken_its_place() -> None:
    async def program(engine: Engine, journal: OvertakenJournal) -> None:
        first = await engine.start(CountWords, 2, id="x")
        newest = engine.get("x")
        journal.overtake = lambda: engine.start(CountWords, 3, id="x", if_running="restart")
        assert await newest.update("add_word", "a", id="u") == ["a"]
        assert await newest.update("add_word", "b", id="u") == ["a"]
        with pytest.raises(RunClosed, match="terminated"):
            await first.update("add_word", "c")
        assert await newest.update("add_word", "c") == ["a", "c"]

    on_one_engine(program)


def test_a_query_of_the_newest_run_is_answered_by_the_one_that_has_just_taken_its_place() -> None:
    async def program(engine: Engine, journal: OvertakenJournal) -> None:
        first = await engine.start(CountWords, 2, id="x")
        await first.update("add_word", "a")
        journal.overtake = lambda: engine.start(CountWords, 3, id="x", if_running="restart")
        assert await engine.get("x").query("words_so_far") == []
        assert await first.query("words_so_far") == ["a"]

    on_one_engine(program)
