"""Attempts share tasks, and do not notice it."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

import keepstep
from keepstep import Engine, Retry, StepFailed, step, workflow
from keepstep.worker import runner

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")
seen: dict[int, list[str]] = {}


@step
async def paint(n: int) -> str:
    """Sets a context variable, waits or not, and reads it again."""
    before = colour.get()
    colour.set(f"colour {n}")
    if n % 3 == 0:
        await asyncio.sleep(0)
    seen[n] = [before, colour.get(), keepstep.step_info().workflow_id]
    return colour.get()


@workflow
async def paint_one(n: int) -> str:
    return await paint(n)


async def test_each_attempt_has_a_context_of_its_own_whether_it_waits_or_not() -> None:
    async with Engine("memory:") as engine:
        runs = range(300)
        painted = await asyncio.gather(*(engine.run(paint_one, n, id=f"paint {n}") for n in runs))
    assert painted == [f"colour {n}" for n in runs]
    assert [seen[n] for n in runs] == [["none", f"colour {n}", f"paint {n}"] for n in runs]


@step
async def see_the_colour() -> str:
    return colour.get()


@step
async def see_the_colour_later() -> str:
    await asyncio.sleep(0)
    return colour.get()


@step
def see_the_colour_on_a_thread() -> str:
    return colour.get()


@workflow
async def see_colours() -> list[str]:
    return [await see_the_colour(), await see_the_colour_later(), await see_the_colour_on_a_thread(), colour.get()]


async def test_the_context_of_who_starts_a_run_is_not_seen_in_steps_which_may_be_another_runs() -> None:
    async def request(n: int) -> list[str]:
        colour.set(f"of request {n}")
        async with asyncio.timeout(20):
            return await engine.run(see_colours, id=f"see {n}")

    colour.set("of the application")
    async with Engine("memory:") as engine:
        seen = await asyncio.gather(*(asyncio.create_task(request(n)) for n in range(5)))
    assert seen == [["of the application"] * 3 + ["none"]] * 5


@step(retry=Retry(max_attempts=1))
async def cancel_my_task(n: int) -> int:
    """An odd one cancels the task it runs in, and ends at once, or swallows what comes of it."""
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    if n % 4 == 1:
        task.cancel()
    elif n % 4 == 3:
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return -n
    return n


@workflow
async def cancel_in_step(n: int) -> int:
    return await cancel_my_task(n)


async def test_an_attempt_that_cancels_its_own_task_harms_no_other() -> None:
    async with Engine("memory:") as engine, asyncio.timeout(20):
        ended = await asyncio.gather(*(engine.run(cancel_in_step, n, id=f"cancel {n}") for n in range(40)))
    assert ended == [-n if n % 4 == 3 else n for n in range(40)]


@step(retry=Retry(max_attempts=1))
async def cancel_and_wait() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(10)


@workflow
async def cancel_and_fail() -> None:
    await cancel_and_wait()


async def test_a_step_cancelled_by_its_own_code_has_failed() -> None:
    async with Engine("memory:") as engine, asyncio.timeout(20):
        with pytest.raises(keepstep.WorkflowFailed) as failed:
            await engine.run(cancel_and_fail)
        assert isinstance(failed.value.__cause__, StepFailed)
        assert await engine.run(paint_one, 1) == "colour 1"


class Rude(BaseException):
    """Nothing that anybody catches."""


@step(retry=Retry(max_attempts=1))
async def be_rude() -> None:
    raise Rude


@workflow
async def call_the_rude() -> None:
    await be_rude()


async def test_a_step_that_raises_what_is_no_exception_has_failed_and_harms_no_other() -> None:
    async with Engine("memory:") as engine, asyncio.timeout(20):
        rude = await engine.start(call_the_rude, id="rude")
        painted = await asyncio.gather(*(engine.run(paint_one, n, id=str(n)) for n in range(20)))
        assert painted == [f"colour {n}" for n in range(20)]
        with pytest.raises(keepstep.WorkflowFailed, match="Rude"):
            await rude.result()


async def test_work_that_breaks_its_task_leaves_the_queue_to_another() -> None:
    performed: list[str] = []

    async def break_the_task() -> None:
        raise KeyError("broken")

    async def perform(name: str) -> None:
        performed.append(name)

    def work_of(name: Any) -> Any:
        return break_the_task() if name == "bad" else perform(name)

    made = runner.Runner(work_of)
    names: list[Any] = ["first", "bad", "second", "third"]
    for name in names:
        made.run(name)
    tasks = [each for each in asyncio.all_tasks() if each.get_name() == "keepstep-steps"]
    broken = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in broken] == [KeyError]
    while len(performed) < 3:
        await asyncio.sleep(0)
    assert performed == ["first", "second", "third"]


@step
async def wait_until_cancelled(n: int) -> int:
    await asyncio.Event().wait()
    return n


@workflow
async def give_up_at_once() -> str:
    """Begins a step and gives it up in the same turn, before it was begun."""
    task = asyncio.create_task(wait_until_cancelled(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return await paint(3)


async def test_steps_that_are_given_up_leave_their_places_free() -> None:
    async with Engine("memory:", concurrent_steps_max=2) as engine, asyncio.timeout(20):
        for n in range(6):
            assert await engine.run(give_up_at_once, id=f"give up {n}") == "colour 3"


async def test_others_on_the_loop_get_their_turn_while_many_attempts_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "WITHOUT_PAUSE_MAX", 10)
    async with Engine("memory:") as engine, asyncio.timeout(20):
        assert len(await asyncio.gather(*(engine.run(paint_one, 3 * n + 1) for n in range(100)))) == 100
