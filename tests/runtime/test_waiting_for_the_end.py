"""Code that is cancelled goes on being cancelled when the step that it waits for has ended, if it says so."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import keepstep.sync
from keepstep import Cancelled, Engine, InvalidInput, Outcome, Retry, step, workflow
from keepstep.testing import run as play
from tests.runtime.crashing import World, crash_at_every_commit
from tests.runtime.programs import on_an_engine
from tests.runtime.test_interceptors import Context

told: list[str] = []


@step(on_cancel="wait")
async def clean_up_slowly(what: str) -> str:
    told.append(f"{what} began")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(5)
        told.append(f"{what} cleaned up")
        if "answers" in what:
            return what
        if "fails" in what:
            raise ValueError(what) from None
        raise
    return what


@step(on_cancel="wait", queue="far")
async def clean_up_far_away(what: str) -> str:
    return await clean_up_slowly(what)


@step
async def undo_for_the_end(what: str, outcome: Outcome) -> str:
    told.append(f"undo {outcome.status} {outcome.result or outcome.error}")
    return what


@workflow
async def give_up_and_see(what: str, how: str) -> list[Any]:
    calls = {"plain": clean_up_slowly, "limited": clean_up_slowly.options(timeout="10m"), "far": clean_up_far_away}
    call = calls[how]
    began = keepstep.now()
    try:
        async with asyncio.timeout(2), keepstep.saga() as saga:
            await saga.run(call, what, undo=undo_for_the_end)
    except TimeoutError:
        return [round((keepstep.now() - began).total_seconds()), "timed out"]
    return ["never"]


@pytest.mark.parametrize("how", ["plain", "limited", "intercepted"])
@pytest.mark.parametrize(
    ("what", "known"),
    [
        ("it stops", "uncertain step 'clean_up_slowly' failed after 1 attempt: Cancelled: "
                     "step 'clean_up_slowly' was told to end"),
        ("it answers", "succeeded it answers"),
        ("it fails", "failed step 'clean_up_slowly' failed after 1 attempt: ValueError: it fails"),
    ],
)  # fmt: skip
def test_a_step_that_is_given_up_is_told_and_its_end_is_waited_for_and_known(what: str, known: str, how: str) -> None:
    told.clear()
    around = [Context()] if how == "intercepted" else []
    plain = "limited" if how == "limited" else "plain"
    run = on_an_engine(lambda engine: engine.run(give_up_and_see, what, plain, id="r"), interceptors=around)
    assert run == [7, "timed out"]
    assert told == [f"{what} began", f"{what} cleaned up", f"undo {known}"]


def test_a_crash_while_the_end_is_waited_for_ends_it_and_nothing_is_begun_again() -> None:
    def check(result: list[Any], crashes: int) -> None:
        assert result[1:] == ["timed out"]
        assert 2 <= result[0] <= 20
        assert "began" not in "|".join(told).partition("cleaned up")[2]
        assert told[-1].startswith(("undo succeeded", "undo uncertain"))
        told.clear()

    told.clear()
    program = lambda engine: engine.run(give_up_and_see, "it answers", "plain", id="r")  # noqa: E731
    assert crash_at_every_commit(program, check) >= 8


@pytest.mark.parametrize("what", ["it stops", "it answers", "it fails"])
def test_a_step_on_a_queue_is_told_and_its_end_is_waited_for(what: str) -> None:
    told.clear()
    run = on_an_engine(lambda engine: engine.run(give_up_and_see, what, "far", id="r"), queues=("default", "far"))
    assert run[1] == "timed out"
    assert 7 <= run[0] <= 9
    status = {"it stops": "uncertain", "it answers": "succeeded", "it fails": "failed"}[what]
    assert told[:2] == [f"{what} began", f"{what} cleaned up"]
    assert told[2].startswith(f"undo {status}")


def test_a_crash_while_the_end_of_a_step_on_a_queue_is_waited_for_leaves_it_told() -> None:
    async def program(engine: Engine) -> list[Any]:
        result = await engine.run(give_up_and_see, "it answers", "far", id="r")
        await asyncio.sleep(30)  # the step of a dead worker is there in this process, and cleans up
        return result

    def check(result: list[Any], crashes: int) -> None:
        assert result[1:] == ["timed out"]
        assert "began" not in "|".join(told).partition("cleaned up")[2]
        [undone] = {each for each in told if each.startswith("undo")}
        assert undone.startswith(("undo succeeded", "undo uncertain") if crashes else "undo succeeded")
        told.clear()

    told.clear()
    assert crash_at_every_commit(program, check, queues=("default", "far")) >= 10


def test_a_step_that_nobody_has_taken_from_its_queue_never_begins() -> None:
    async def main() -> list[Any]:
        world = World()
        owner = await world.open()
        run = await owner.start(give_up_and_see, "it stops", "far", id="r")
        await asyncio.sleep(10)
        assert not told
        await world.open(queues=("far",), serve=())
        result = await run.result()
        await world.close()
        return result

    told.clear()
    result = play(main)
    assert result[1] == "timed out"
    assert result[0] >= 10
    [undone] = told
    assert undone.startswith("undo failed")


def test_a_run_that_is_cancelled_once_more_still_waits_and_is_cancelled_then() -> None:
    async def program(engine: Engine) -> list[str]:
        run = await engine.start(give_up_and_see, "it answers", "plain", id="r")
        await asyncio.sleep(1)
        for _ in range(3):
            await run.cancel("enough")
            await asyncio.sleep(1)
        with pytest.raises(Cancelled):
            await run.result()
        return [event.type async for event in run.history()]

    told.clear()
    types = on_an_engine(program)
    assert types.index("step_completed") > types.index("cancel_requested")
    assert told == ["it answers began", "it answers cleaned up", "undo succeeded it answers"]


@workflow
async def give_up_what_rests(what: str) -> str:
    handle = fail_and_rest.start(what)
    await keepstep.sleep(5)
    assert handle.cancel()
    assert not handle.done()
    await asyncio.wait([handle])
    return f"cancelled: {handle.cancelled()}"


@step(on_cancel="wait", retry=Retry(max_attempts=5, initial=600, max_interval=600))
async def fail_and_rest(what: str) -> None:
    told.append(what)
    raise ConnectionError(what)


def test_a_step_between_two_attempts_has_ended() -> None:
    def check(result: str, crashes: int) -> None:
        assert result == "cancelled: True"
        assert 1 <= len(told) <= 1 + crashes
        told.clear()

    told.clear()
    assert crash_at_every_commit(lambda engine: engine.run(give_up_what_rests, "x", id="r"), check) >= 10


@workflow
async def give_up_what_waits_for_a_place() -> list[bool]:
    first, second = clean_up_slowly.start("first"), clean_up_slowly.start("second")
    await keepstep.sleep(1)
    second.cancel()
    await asyncio.wait([second])
    never_asked = clean_up_slowly.start("third")
    never_asked.cancel()
    await asyncio.wait([never_asked])
    first.cancel()
    await asyncio.wait([first])
    return [first.cancelled(), second.cancelled(), never_asked.cancelled()]


def test_a_step_that_has_not_begun_never_does() -> None:
    told.clear()
    run = on_an_engine(lambda engine: engine.run(give_up_what_waits_for_a_place, id="r"), concurrent_steps_max=1)
    assert run == [True, True, True]
    assert told == ["first began", "first cleaned up"]


may_beat = threading.Event()


@step(on_cancel="wait")
def toil_until_told(what: str) -> str:
    told.append(f"{what} began")
    may_beat.set()
    while True:
        try:
            keepstep.heartbeat()
        except Cancelled:
            told.append(f"{what} heard")
            return what
        threading.Event().wait(0.01)


@workflow
def give_up_a_thread(what: str) -> str:
    handle: Any = toil_until_told.options(queue="far" if what == "far" else None).start(what)
    keepstep.sync.receive("enough")
    handle.cancel()
    try:
        handle.result()
    except asyncio.CancelledError:
        return "given up"
    return "never"


@pytest.mark.parametrize("where", ["here", "far"])
async def test_a_thread_is_told_by_its_heartbeat_and_waited_for(where: str, tmp_path: Path) -> None:
    told.clear()
    may_beat.clear()
    queues = ("default", "far")
    async with Engine(f"sqlite:///{tmp_path}/a.db", queues=queues) as engine, asyncio.timeout(30):
        run = await engine.start(give_up_a_thread, where, id="r")
        await asyncio.to_thread(may_beat.wait, 20)
        await run.signal("enough")
        assert await run.result() == "given up"
        types = [event.type async for event in run.history()]
    assert told == [f"{where} began", f"{where} heard"]
    assert types[-2:] == ["step_completed", "workflow_completed"]


@pytest.mark.parametrize("options", [{"once": True}, {"transaction": True}])
def test_what_cannot_be_waited_for_is_refused_where_it_is_said(options: dict[str, Any]) -> None:
    def function(_: Any) -> None: ...

    with pytest.raises(InvalidInput, match="does not go with"):
        step(name="never_waited_for", on_cancel="wait", **options)(function)
    with pytest.raises(InvalidInput, match='is "stop" or "wait"'):
        step(name="never_waited_for", on_cancel="leave")(function)  # type: ignore[call-overload]
