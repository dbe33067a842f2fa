"""A simulated process that is dead or frozen runs nothing, whatever else runs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from functools import partial
from typing import Any

import pytest

from keepstep.journal import Hint, HintKind
from keepstep.journal.memory import MemoryJournal
from keepstep.testing.simulation import scheduler, world
from keepstep.testing.simulation.scheduler import Fate, Livelock, SimulationLoop, fate


@contextmanager
def made_loop() -> Iterator[SimulationLoop]:
    loop = SimulationLoop()
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def play(work: Coroutine[Any, Any, Any]) -> Any:
    with made_loop() as loop:
        return loop.run_until_complete(work)


def context_of(process: Fate) -> Context:
    context = copy_context()
    context.run(fate.set, process)
    return context


async def count(told: list[tuple[str, float]], name: str) -> None:
    while True:
        await asyncio.sleep(1)
        told.append((name, asyncio.get_running_loop().time()))


def test_a_process_that_is_frozen_goes_on_late_and_one_that_dies_never() -> None:
    async def story() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        told: list[tuple[str, float]] = []
        frozen, dying = Fate(), Fate()
        tasks = [
            loop.create_task(count(told, name), context=context_of(each))
            for name, each in (("frozen", frozen), ("dying", dying))
        ]
        await asyncio.sleep(1.5)
        frozen.freeze()
        dying.die()
        await asyncio.sleep(2)
        assert told == [("frozen", 1), ("dying", 1)]
        frozen.thaw(loop)
        await asyncio.sleep(1.2)
        assert [task.done() for task in tasks] == [False, False]
        for task in tasks:
            task.cancel()
        return told

    assert play(story()) == [("frozen", 1), ("dying", 1), ("frozen", 3.5), ("frozen", 4.5)]


def test_a_process_that_dies_while_it_is_frozen_does_not_thaw() -> None:
    async def story() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        told: list[str] = []
        process = Fate()
        process.freeze()
        loop.call_soon(told.append, "never", context=context_of(process))
        await asyncio.sleep(0)
        process.die()
        process.thaw(loop)
        loop.call_soon(told.append, "never", context=context_of(process))
        await asyncio.sleep(1)
        return told

    assert play(story()) == []


def test_what_is_cancelled_while_its_process_is_frozen_does_not_run() -> None:
    async def story() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        told: list[str] = []
        process = Fate()
        process.freeze()
        context = context_of(process)
        handles = [loop.call_later(1, told.append, name, context=context) for name in ("cancelled", "kept")]
        await asyncio.sleep(2)
        handles[0].cancel()
        process.thaw(loop)
        await asyncio.sleep(0)
        return told

    assert play(story()) == ["kept"]


def test_a_callback_that_raises_is_told_and_stops_no_other() -> None:
    async def story() -> list[str]:
        loop = asyncio.get_running_loop()
        told: list[str] = []
        loop.set_exception_handler(lambda _, context: told.append(f"{context['message']}: {context['exception']!r}"))
        loop.call_soon(told.index, "absent")
        loop.call_later(0, told.append, "the next one")
        await asyncio.sleep(1)
        return told

    told = play(story())
    assert told[0].startswith("an error in <_Handle ")
    assert "ValueError" in told[0]
    assert told[1:] == ["the next one"]


def test_a_loop_that_is_closed_takes_nothing_more() -> None:
    with made_loop() as loop:
        pass
    for call in (loop.call_soon, partial(loop.call_later, 1), partial(loop.call_at, 1)):
        with pytest.raises(RuntimeError, match="closed"):
            call(print)


def test_a_story_that_goes_round_in_circles_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "ITERATIONS_MAX", 100)

    async def turn() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match="100 iterations"):
        play(turn())


def test_a_process_whose_store_is_lost_is_ended_and_another_one_started_in_its_place() -> None:
    seen: list[bool] = []

    async def plot(stage: world.World) -> None:
        await stage.fleet.fill(0)
        [first] = stage.fleet.alive()
        assert isinstance(first._inner, MemoryJournal)
        for listener in tuple(first._inner._listeners):
            listener(Hint(HintKind.STORE_LOST))
        await asyncio.sleep(1.0)
        [second] = stage.fleet.alive()
        seen.extend((first.is_dead, second.is_open, second.number > first.number))

    _, violations = world.play(plot, "a lost store", "memory", workers=1)
    assert violations == []
    assert seen == [True, True, True]
