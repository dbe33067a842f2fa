"""Waiting for results: what it follows, and how the waiting itself ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

import keepstep
from keepstep import Engine, NotFound, Terminated, TimedOut, workflow
from keepstep.journal import StoreUnavailable

NO_RUN = "018f0000-0000-7000-8000-000000000000"


@workflow
async def wait_until_go(n: int) -> str:
    said = await keepstep.receive("go", str)
    return f"{n}: {said}"


@workflow
async def tell_the_day() -> date:
    return date(2026, 11, 27)


@pytest.fixture(params=["sqlite", "memory"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url) as engine, asyncio.timeout(30):
        yield engine


async def test_it_follows_every_restart_of_an_open_run_and_none_of_a_closed_one(engine: Engine) -> None:
    first = await engine.start(wait_until_go, 1, id="w")
    second = await engine.start(wait_until_go, 2, id="w", if_running="restart")
    waiting = asyncio.create_task(first.result())
    third = await engine.start(wait_until_go, 3, id="w", if_running="restart")
    await third.signal("go", "now")
    assert await waiting == "3: now"
    fourth = await engine.start(wait_until_go, 4, id="w", if_closed="restart")
    assert await first.result() == await second.result() == await third.result() == "3: now"
    with pytest.raises(TimedOut, match="it goes on"):
        await fourth.result(timeout="10ms")


async def test_a_run_that_somebody_ended_by_force_is_not_followed_to_the_next_of_its_id(engine: Engine) -> None:
    first = await engine.start(wait_until_go, 1, id="w")
    await first.terminate("enough")
    second = await engine.start(wait_until_go, 1, id="w", if_closed="restart")
    await second.signal("go", "now")
    assert await second.result() == "1: now"
    with pytest.raises(Terminated, match="it was terminated: enough"):
        await first.result()


async def test_who_waits_for_a_cancelled_run_is_told_why_it_was(engine: Engine) -> None:
    for reason, said, error in (
        ("too late", "was cancelled: too late", "cancelled: too late"),
        ("", "was cancelled$", None),
    ):
        run = await engine.start(wait_until_go, 1)
        await run.cancel(reason)
        with pytest.raises(keepstep.Cancelled, match=said):
            await run.result()
        assert (await run.describe()).error == error
        assert error in [info.error async for info in engine.list("Status = 'cancelled'")]


async def test_a_run_that_is_not_there_is_not_waited_for(engine: Engine) -> None:
    for missing in (engine.get("nobody"), engine.get("nobody", NO_RUN)):
        with pytest.raises(NotFound):
            await missing.result()


async def test_the_result_of_a_restart_is_read_as_its_own_workflow_says(engine: Engine) -> None:
    first = await engine.start(wait_until_go, 1, id="w")
    await engine.start(tell_the_day, id="w", if_running="restart")
    engine.known_types.clear()  # as in a process that started neither
    assert await first.result() == date(2026, 11, 27)


async def test_who_stops_waiting_leaves_nothing_behind(engine: Engine) -> None:
    run = await engine.start(wait_until_go, 1)
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(run.result(timeout="1h"))
    while asyncio.all_tasks() - before == {waiting}:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert not [each for each in asyncio.all_tasks() - before if "_result" in repr(each)]


async def test_who_still_waits_when_the_engine_closes_is_told_so() -> None:
    async with Engine("memory:") as engine:
        run = await engine.start(wait_until_go, 1)
        waiting = asyncio.create_task(run.result())
        while str(run.run_id) not in repr(engine.closings.__dict__["_waiting"]):
            await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="the engine was closed"):
        await waiting
