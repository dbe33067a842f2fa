"""Messages that are wrong, late or double change nothing but what they may change."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import keepstep
from keepstep import Engine, WorkflowFailed, step, workflow
from keepstep.journal import Condition, NewMessage
from keepstep.runtime import history
from keepstep.runtime.data import encode
from keepstep.runtime.history import pack
from keepstep.worker.inbox import StepAnswer
from tests.worker.troubled import TroubledJournal, in_trouble


@step(once=True)
async def hang_once() -> int:
    await asyncio.Event().wait()
    return 1


@step
async def count_quickly(n: int) -> int:
    return n


@workflow
async def wait_for_the_word() -> list[Any]:
    first = await count_quickly(1)
    return [first, await keepstep.receive("word", str)]


@workflow
async def hang_once_for_a_while() -> int:
    return await hang_once.options(timeout=1.0)()


@workflow
async def take_a_moment() -> str:
    await keepstep.sleep(1)
    return "done"


@workflow
async def take_a_moment_by_a_child() -> str:
    child = await keepstep.start_child(take_a_moment, id="the-only-one")
    return str(await child)


@workflow
async def wait_for_a_reply() -> str:
    reply = keepstep.callback()
    keepstep.set_attributes(token=reply.token)
    return str(await reply.result(str))


async def condition_of(engine: Engine, id: str, wanted: Condition) -> keepstep.RunInfo:
    while (info := await engine.get(id).describe()).condition is not wanted:
        await asyncio.sleep(0.1)
    return info


async def say(journal: TroubledJournal, engine: Engine, id: str, kind: str, name: str = "", data: bytes = b"") -> None:
    """What another process, perhaps of another version, puts into the inbox."""
    run_id = (await engine.get(id).describe()).run_id
    await journal.send(NewMessage(run_id=run_id, kind=kind, name=name, data=data))


def test_a_message_of_a_kind_that_a_later_version_knows_blocks_the_run_and_says_so() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> str:
        await engine.start(wait_for_the_word, id="x")
        await say(journal, engine, "x", "hologram")
        return str((await condition_of(engine, "x", Condition.BLOCKED)).error)

    assert "does not know messages of kind 'hologram'; upgrade it" in in_trouble(program)


@pytest.mark.parametrize(
    ("kind", "name", "data"),
    [
        ("child_closed", "child", pack(history.ChildClosed("completed", b"1"))),
        ("start_refused", "child", b""),
        ("step_result", "count_quickly", msgspec.msgpack.encode(StepAnswer(True, encode(7)))),
        ("resolve", "count_quickly", msgspec.msgpack.encode(StepAnswer(True, encode(7)))),
        ("retry", "", b""),
    ],
)
def test_an_answer_that_nobody_waits_for_leaves_no_trace(kind: str, name: str, data: bytes) -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> tuple[Any, list[str]]:
        handle = await engine.start(wait_for_the_word, id="x")
        await asyncio.sleep(1)
        await say(journal, engine, "x", kind, name, data)
        await say(journal, engine, "x", kind, name, data)
        await asyncio.sleep(1)
        await handle.signal("word", "end")
        return await handle.result(timeout=30), [each.type async for each in handle.history()]

    result, events = in_trouble(program)
    assert result == [1, "end"]
    assert events == ["workflow_started", "step_completed", "signal_received", "workflow_completed"]


@step
async def count_in_two_seconds(n: int) -> int:
    await asyncio.sleep(2)
    return n


@workflow
async def count_in_its_own_time() -> int:
    return await count_in_two_seconds(1)


def test_a_step_that_is_being_executed_is_neither_resolved_nor_begun_again_by_a_word_that_came_late() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> tuple[int, float]:
        handle = await engine.start(count_in_its_own_time, id="x")
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        answer = msgspec.msgpack.encode(StepAnswer(True, encode(7)))
        await say(journal, engine, "x", "resolve", "count_in_two_seconds", answer)
        await say(journal, engine, "x", "retry")
        result = await handle.result(timeout=30)
        return result, asyncio.get_running_loop().time() - began

    result, seconds = in_trouble(program)
    assert result == 1
    assert seconds < 3


def test_a_value_that_the_step_cannot_have_returned_leaves_it_uncertain() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> Any:
        handle = await engine.start(hang_once_for_a_while, id="x")
        await condition_of(engine, "x", Condition.UNCERTAIN)
        [wait] = (await handle.describe()).waiting_for
        await say(journal, engine, "x", "resolve", wait.key, msgspec.msgpack.encode(StepAnswer(True, encode("words"))))
        await asyncio.sleep(5)
        await condition_of(engine, "x", Condition.UNCERTAIN)
        await say(journal, engine, "x", "resolve", wait.key, msgspec.msgpack.encode(StepAnswer(True, encode(3))))
        return await handle.result(timeout=30)

    assert in_trouble(program) == 3


def test_a_child_whose_id_was_taken_in_the_last_moment_is_not_started() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> str:
        await engine.start(wait_for_the_word, id="the-only-one")
        find_run = journal.find_run
        looks = 0

        async def find_nothing_at_first(namespace: str, workflow_id: str) -> Any:
            nonlocal looks
            looks += 1
            return None if looks == 1 else await find_run(namespace, workflow_id)

        journal.find_run = find_nothing_at_first  # type: ignore[method-assign]
        handle = await engine.start(take_a_moment_by_a_child, id="parent")
        with pytest.raises(WorkflowFailed) as failed:
            await handle.result(timeout=30)
        assert looks == 1
        assert (await engine.get("the-only-one").describe()).status == "running"
        return str(failed.value)

    assert "the-only-one" in in_trouble(program)


def test_a_forged_token_completes_nothing() -> None:
    async def program(engine: Engine, journal: TroubledJournal) -> Any:
        handle = await engine.start(wait_for_a_reply, id="x")
        while "token" not in (await handle.describe()).attributes:
            await asyncio.sleep(0.1)
        token = (await handle.describe()).attributes["token"]
        forged = token[:-1] + ("a" if token[-1] != "a" else "b")
        await say(journal, engine, "x", "callback", forged, encode("forged"))
        await say(journal, engine, "x", "callback_failed", forged, b"")
        await engine.complete_callback(token, "true")
        return await handle.result(timeout=30)

    assert in_trouble(program) == "true"
