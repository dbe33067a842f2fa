"""Whoever follows a run sees each of its events once, soon after it is durable, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import BlockingEngine, Engine, InvalidInput, NotFound, workflow
from keepstep.testing import run
from tests.runtime.crashing import World, crash_at_every_commit


@workflow
async def say_words_in_turn(words: list[str]) -> str:
    for word in words:
        keepstep.note(word)
        await keepstep.sleep(10)
    return "over"


@workflow
async def say_and_wait() -> str:
    keepstep.note("ready")
    return await keepstep.receive("go", str)


def test_notes_of_a_run_are_a_stream_that_outlives_crashes_at_every_commit() -> None:
    async def program(engine: Engine) -> list[Any]:
        handle = await engine.start(say_words_in_turn, ["a", "b", "c"], id="f")
        return [(each.seq, each.type, each.data.get("text")) async for each in handle.follow()]

    def check(seen: list[Any], crashes: int) -> None:
        assert [seq for seq, _, _ in seen] == list(range(1, len(seen) + 1))
        assert [text for _, type_, text in seen if type_ == "note_added"] == ["a", "b", "c"]
        assert seen[-1][1] == "workflow_completed"

    assert crash_at_every_commit(program, check) >= 8


def test_events_come_while_the_run_goes_on_and_no_later_than_the_next_look() -> None:
    async def whole() -> list[tuple[str, float]]:
        world = World()
        try:
            engine = await world.open(poll_seconds=2)
            handle = await engine.start(say_words_in_turn, ["a", "b"], id="f")
            seen = []
            began = asyncio.get_running_loop().time()
            async for each in handle.follow(after=1):
                if each.type == "note_added":
                    seen.append((each.data["text"], asyncio.get_running_loop().time() - began))
            return seen
        finally:
            await world.close()

    (first, soon), (second, later) = run(whole)
    assert (first, second) == ("a", "b")
    assert soon < 1
    assert 10 <= later <= 12.1


def test_what_cannot_be_followed_is_said() -> None:
    async def whole() -> None:
        world = World()
        try:
            engine = await world.open()
            with pytest.raises(NotFound, match="nobody"):
                await anext(engine.get("nobody").follow())
            handle = await engine.start(say_and_wait, id="f")
            for after in (-1, "2", None):
                with pytest.raises(InvalidInput, match="the seq of an event"):
                    await anext(handle.follow(after=after))  # type: ignore[arg-type]
        finally:
            await world.close()

    run(whole)


def test_a_program_that_does_not_await_sees_each_event_as_it_comes(tmp_path: Path) -> None:
    with BlockingEngine(f"sqlite:///{tmp_path}/runs.db", poll_seconds=0.1) as engine:
        handle = engine.start(say_and_wait, id="f")
        types = []
        for each in handle.follow():
            types.append(each.type)
            if each.type == "note_added":
                handle.signal("go", "now")
    assert types == ["workflow_started", "note_added", "signal_received", "workflow_completed"]
