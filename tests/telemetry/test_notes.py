"""Notes stand in the history between the events around them, once, and change nothing for the run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import keepstep
from keepstep import Engine, step, workflow
from keepstep.runtime.note import NOTE_CHARS_MAX, TURN_NOTES_MAX
from keepstep.sync import sleep as pause_in_sync
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.deploying import NAME, after_deploying, deploy, result_of
from tests.runtime.programs import on_an_engine


@step
async def be_noted(n: int) -> int:
    return n


@workflow
async def noting() -> int:
    keepstep.note("begun")
    first = await be_noted(1)
    keepstep.note(f"got {first}")
    keepstep.note("twice in a turn")
    await asyncio.gather(asyncio.sleep(5), be_noted(2))
    keepstep.note("about to end")
    return first


@workflow
def noting_in_sync() -> str:
    keepstep.note("in sync code")
    pause_in_sync(1)
    return "done"


@workflow
class NotedHandlers:
    def __init__(self) -> None:
        self.is_over = False

    async def run(self) -> str:
        await keepstep.wait_for(lambda: self.is_over)
        return "over"

    @keepstep.signal
    def finish(self) -> None:
        keepstep.note("told to finish")
        self.is_over = True

    @keepstep.query
    def look(self) -> str:
        keepstep.note("looked at")
        return "seen"


@workflow
async def noting_in_a_predicate() -> None:
    await keepstep.wait_for(lambda: bool(keepstep.note("is it so?")))  # type: ignore[func-returns-value]


async def notes_of(engine: Engine, id: str) -> list[str]:
    return [each.data["text"] async for each in engine.get(id).history() if each.type == "note_added"]


async def types_of(engine: Engine, id: str) -> list[str]:
    return [each.type async for each in engine.get(id).history()]


ALL = ["begun", "got 1", "twice in a turn", "about to end"]


def test_notes_are_recorded_once_whenever_the_process_dies() -> None:
    async def program(engine: Engine) -> Any:
        run = await engine.start(noting, id="noting")
        return await run.result(timeout=60), await notes_of(engine, "noting"), await types_of(engine, "noting")

    def check(outcome: Any, crashes: int) -> None:
        result, notes, types = outcome
        assert result == 1
        assert sorted(notes) == sorted(ALL)
        assert types[-1] == "workflow_completed"
        if not crashes:
            assert notes == ALL
            assert types[:5] == ["workflow_started", "note_added", "step_completed", "note_added", "note_added"]

    assert crash_at_every_commit(program, check) >= 10


def test_sync_code_and_handlers_make_notes_and_queries_do_not() -> None:
    async def program(engine: Engine) -> None:
        await (await engine.start(noting_in_sync, id="sync")).result(timeout=60)
        assert await notes_of(engine, "sync") == ["in sync code"]
        handled = await engine.start(NotedHandlers, id="handled")
        with pytest.raises(keepstep.QueryFailed, match="only looks at the run"):
            await handled.query("look")
        await handled.signal("finish")
        assert await handled.result(timeout=60) == "over"
        assert await notes_of(engine, "handled") == ["told to finish"]

    on_an_engine(program)


@pytest.mark.parametrize(
    ("text", "times", "said"),
    [
        (7, 1, "a note must be text"),
        ("x" * (NOTE_CHARS_MAX + 1), 1, "at most 10000 characters"),
        ("x", TURN_NOTES_MAX + 1, "may make 1000 notes"),
    ],
)
def test_a_note_that_is_no_text_or_too_much_is_refused(text: Any, times: int, said: str) -> None:
    async def code() -> None:
        for _ in range(times):
            keepstep.note(text)

    async def program(engine: Engine) -> None:
        with pytest.raises(keepstep.WorkflowFailed, match=said):
            await engine.run(deploy(code), id="refused")

    on_an_engine(program)


def test_a_predicate_that_makes_notes_fails_the_run_instead_of_filling_its_history() -> None:
    async def program(engine: Engine) -> None:
        with pytest.raises(keepstep.WorkflowFailed, match="not into a predicate"):
            await engine.run(noting_in_a_predicate, id="predicate")
        assert await notes_of(engine, "predicate") == ["is it so?"]  # wait_for itself looks once

    on_an_engine(program)


async def before() -> str:
    keepstep.note("old words")
    keepstep.note("gone later")
    await be_noted(3)
    await keepstep.receive("go")
    return "old"


async def with_other_words() -> str:
    keepstep.note("new words")
    await be_noted(3)
    await keepstep.receive("go")
    keepstep.note("after the deploy")
    return "new"


async def without_any() -> str:
    await be_noted(3)
    await keepstep.receive("go")
    return "silent"


async def with_more() -> str:
    keepstep.note("old words")
    keepstep.note("gone later")
    await be_noted(3)
    keepstep.note("added by the deploy")
    await keepstep.receive("go")
    return "more"


@pytest.mark.parametrize(
    ("code", "result", "notes"),
    [
        (with_other_words, "new", ["old words", "gone later", "after the deploy"]),
        (without_any, "silent", ["old words", "gone later"]),
        (with_more, "more", ["old words", "gone later", "added by the deploy"]),
    ],
)
def test_notes_may_be_changed_removed_and_added_under_open_runs(code: Any, result: str, notes: list[str]) -> None:
    async def judge(engine: Engine) -> Any:
        return await result_of(engine), await notes_of(engine, NAME)

    assert after_deploying(before, code, judge) == (result, notes)


def test_outside_of_a_workflow_there_is_nothing_to_note() -> None:
    with pytest.raises(RuntimeError, match="only be used inside a workflow"):
        keepstep.note("nowhere")
