"""What a run's code does wrong blocks that run, where everybody can see it; never its worker, and never in vain."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import keepstep
from keepstep import Engine, InvalidInput, WorkflowFailed, step, workflow
from keepstep.journal import Condition, NewMessage
from keepstep.runtime import ambient
from tests.runtime.programs import on_an_engine


@step
async def come_back_after(n: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return n


async def until_blocked(engine: Engine, id: str) -> str:
    """Wait until the journal says that the run is blocked and nobody's; its first line of why."""
    async with asyncio.timeout(60):
        while True:
            found = await engine.journal.find_run("default", id)
            assert found is not None
            if found.condition is Condition.BLOCKED and found.owner is None:
                return found.detail.decode()
            await asyncio.sleep(0.1)


@workflow
async def block_beside_a_step() -> None:
    async def go_wrong() -> None:
        await come_back_after(1, 1)
        getattr(asyncio.get_running_loop(), "run_in" + "_executor")(None, print)

    await asyncio.gather(come_back_after(2, 5), go_wrong(), go_wrong())


def test_a_run_blocked_while_a_step_of_another_branch_runs_is_shown_as_blocked_when_that_has_ended() -> None:
    async def program(engine: Engine) -> tuple[str, list[str]]:
        await engine.start(block_beside_a_step, id="r")
        why = await until_blocked(engine, "r")
        return why, [event.key async for event in engine.get("r").history() if event.key]

    why, keys = on_an_engine(program)
    assert "run_in_executor" in why
    assert "come_back_after" in keys  # the step that ran on was recorded


@workflow
class BlocksBesideAStep:
    async def run(self) -> None:
        await block_beside_a_step.fn()

    @keepstep.query
    def progress(self) -> str:
        return "well"


def test_who_asks_a_run_that_is_blocked_while_a_step_of_it_still_runs_hears_why_at_once() -> None:
    async def program(engine: Engine) -> str:
        handle = await engine.start(BlocksBesideAStep, id="r")
        await asyncio.sleep(2)  # of virtual time: one step has ended, the other goes on for five
        with pytest.raises(keepstep.Blocked) as raised:
            await handle.query("progress")
        return str(raised.value)

    assert "run_in_executor" in on_an_engine(program)


@workflow
async def ask_a_cancelled_task() -> str:
    task = asyncio.create_task(keepstep.sleep(60))
    task.add_done_callback(lambda ended: ended.result())
    await keepstep.sleep(1)
    task.cancel()
    await keepstep.sleep(1)
    return "went on"


@workflow
async def cancel_in_a_predicate() -> str:
    asked = 0

    def predicate() -> bool:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise asyncio.CancelledError
        return False

    waiting = asyncio.create_task(keepstep.wait_for(predicate))
    await come_back_after(1, 1)
    await asyncio.wait([waiting])
    return f"cancelled: {waiting.cancelled()}"


@pytest.mark.parametrize(
    ("program_workflow", "told"), [(ask_a_cancelled_task, "went on"), (cancel_in_a_predicate, "cancelled: True")]
)
def test_a_cancellation_raised_in_a_callback_stops_nothing(program_workflow: Any, told: str) -> None:
    async def program(engine: Engine) -> str:
        said: str = await (await engine.start(program_workflow, id="r")).result(timeout=60)
        return said

    assert on_an_engine(program) == told


@workflow
async def child_of_any_name(n: int) -> int:
    return n


@workflow
async def say_what_cannot_be_kept(what: str) -> Any:
    match what:
        case "status":
            keepstep.set_status(404)  # type: ignore[arg-type]
        case "attributes":
            keepstep.set_attributes(customer=object())
        case "surrogate":
            await come_back_after.options(key="\ud800")(1, 0)
        case "child id":
            await keepstep.start_child(child_of_any_name, 1, id=42)  # type: ignore[call-overload]
        case "child queue":
            await keepstep.start_child(child_of_any_name, 1, queue="")
        case "title":
            await keepstep.human_task(object())  # type: ignore[call-overload]
        case "signal":
            await keepstep.receive(5)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("status", "the status must be text, not 404"),
        ("attributes", "the attributes"),
        ("surrogate", "surrogate"),
        ("child id", "the id of a child must be text, not 42"),
        ("child queue", "the queue of a child must have 1 to 512 characters, not 0"),
        ("title", "the title of a human task must be text"),
        ("signal", "the name of a signal must be text, not 5"),
    ],
)
async def test_what_the_journal_cannot_hold_is_refused_where_the_code_says_it(
    tmp_path: Path, what: str, said: str
) -> None:
    async with Engine(f"sqlite:///{tmp_path}/k.db") as engine:
        with pytest.raises(WorkflowFailed) as failed:
            await engine.run(say_what_cannot_be_kept, what, id="r")
    assert said in str(failed.value)


@workflow
async def keep_attributes() -> str:
    keepstep.set_attributes(tags={"b", "a"}, gone=None)
    keepstep.set_status("")
    return "kept"


def test_attributes_become_plain_json() -> None:
    async def program(engine: Engine) -> Any:
        handle = await engine.start(keep_attributes, id="r")
        await handle.result(timeout=60)
        return (await handle.describe()).attributes

    assert on_an_engine(program) == {"tags": ["a", "b"]}


async def test_a_run_that_asks_for_what_the_store_refuses_is_blocked_and_not_read_again_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a value ever pass the checks at the door."""
    monkeypatch.setattr(ambient, "plain_text", lambda text, _: text)
    async with Engine(f"sqlite:///{tmp_path}/k.db") as engine:
        await engine.start(wait_with_status, "broken", id="r")
        assert "cannot be recorded" in await until_blocked(engine, "r")
        assert await engine.run(wait_with_status, "fine", id="other") == "fine"


@workflow
async def wait_with_status(status: str) -> str:
    keepstep.set_status(status if status == "fine" else chr(0xD800))
    await come_back_after(1, 0)
    return status


def test_a_message_that_cannot_be_read_blocks_its_run_and_leaves_the_inbox_open_to_others() -> None:
    async def program(engine: Engine) -> tuple[str, Any]:
        await engine.start(wait_for_a_word, id="r")
        await engine.start(wait_for_a_word, id="other")
        await asyncio.sleep(1)
        run = await engine.journal.find_run("default", "r")
        assert run is not None
        await engine.journal.send(NewMessage(run_id=run.run_id, kind="cancel", data=b"\xff not text"))
        await engine.get("other").signal("word", "heard")
        return await until_blocked(engine, "r"), await engine.get("other").result(timeout=60)

    why, heard = on_an_engine(program)
    assert "cannot be read" in why
    assert heard == "heard"


@workflow
async def wait_for_a_word() -> Any:
    return await keepstep.receive("word")


@workflow
async def wait_without_end() -> list[str]:
    said = []
    async with asyncio.timeout(float("inf")):
        said.append(str(await come_back_after(1, 1)))
    said.append(str(await asyncio.wait_for(come_back_after(2, 1), 1e15)))
    sleeping = asyncio.create_task(asyncio.sleep(float("inf")))
    done, _ = await asyncio.wait([sleeping], timeout=3)
    said.append(f"{len(done)} awake")
    return said


def test_limits_that_never_come_are_no_limits() -> None:
    async def program(engine: Engine) -> Any:
        return await (await engine.start(wait_without_end, id="r")).result(timeout=60)

    assert on_an_engine(program) == ["1", "2", "0 awake"]


def test_a_name_of_a_definition_that_no_journal_can_hold_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the name of a step must have 1 to 512 characters"):
        step(name="x" * 513)(come_back_after.fn)
