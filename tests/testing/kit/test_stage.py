"""A stage plays tests in virtual time, and its worker dies where it is told to."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from keepstep import Engine, InvalidInput
from keepstep.testing import RealInputOutput, Stuck
from keepstep.testing.kit import Crash, Stage
from keepstep.testing.kit.blocking import BlockingVirtualTime, StagedBlockingEngine
from keepstep.testing.simulation import scheduler
from tests.testing.kit.programs import EFFECTS, MONTH, kit_child, kit_dawdler, kit_order


@pytest.fixture(autouse=True)
def no_effects() -> None:
    EFFECTS.clear()


async def order(engine: Engine) -> str:
    return await (await engine.start(kit_order, 7, id="o7")).result()


def test_a_month_takes_milliseconds_and_a_month() -> None:
    with Stage() as stage:
        began, spent = stage.time.now(), time.process_time()
        assert stage.play(partial(order, stage.engine)) == "receipt 7"
        assert time.process_time() - spent < 1.0
        assert MONTH <= stage.time.now() - began < MONTH * 1.1
    assert EFFECTS == ["charged 7 eur", "mailed receipt 7"]


def test_time_passes_only_as_far_as_it_is_advanced() -> None:
    async def look() -> list[str]:
        run = await stage.engine.start(kit_order, 7)
        await stage.time.advance("29d")
        before = (await run.describe()).status
        await stage.time.advance("1d 1h")
        return [before, (await run.describe()).status]

    with Stage() as stage:
        assert stage.play(look) == ["running", "completed"]


@pytest.mark.parametrize("commit", [1, 2, 3, 4])
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_worker_that_dies_is_replaced_and_the_test_goes_on(commit: int, side: str) -> None:
    with Stage(Crash(commit, side)) as stage:
        assert stage.play(partial(order, stage.engine)) == "receipt 7"
        assert len(stage.workers) == 2
        assert stage.doomed.startswith(f"{side} commit {commit}, which writes ")
    assert set(EFFECTS) == {"charged 7 eur", "mailed receipt 7"}


def test_what_was_not_recorded_before_the_crash_is_done_again_and_what_was_is_not() -> None:
    for side, charges in (("before", 2), ("after", 1)):
        EFFECTS.clear()
        with Stage(Crash(1, side)) as stage:
            stage.play(partial(order, stage.engine))
        assert EFFECTS.count("charged 7 eur") == charges


def test_the_same_test_makes_the_same_commits() -> None:
    seen = []
    for _ in range(2):
        with Stage() as stage:
            stage.play(partial(order, stage.engine))
            seen.append((stage.commits, stage.loop.microseconds()))
    assert seen[0] == seen[1]


def test_a_worker_can_be_killed_by_hand() -> None:
    async def act() -> str:
        run = await stage.engine.start(kit_order, 7)
        await stage.time.advance("1d")
        await stage.crash_worker()
        return await run.result()

    with Stage() as stage:
        assert stage.play(act) == "receipt 7"
        assert len(stage.workers) == 2
    assert EFFECTS == ["charged 7 eur", "mailed receipt 7"]


def test_nothing_of_a_dead_worker_runs_any_more_not_even_a_finally() -> None:
    async def act() -> str:
        run = await stage.engine.start(kit_dawdler)
        await stage.time.advance("10m")
        await stage.crash_worker()
        assert EFFECTS == []
        return await run.result()

    with Stage() as stage:
        assert stage.play(act) == "late"
        assert EFFECTS == ["dawdled", "left"]


def test_a_long_story_that_gets_on_is_no_livelock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "ITERATIONS_MAX", 500)

    async def act() -> int:
        for number in range(100):
            await (await stage.engine.start(kit_child, number)).result()
        return stage.commits

    with Stage() as stage:
        assert stage.play(act) >= 200


async def wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def test_a_test_that_waits_for_nothing_is_told_so() -> None:
    with Stage() as stage, pytest.raises(Stuck, match=r"has not come in 3653 days .*\n(.*\n)*  test: .*test_stage.py:"):
        stage.play(wait_for_ever)


def test_real_input_and_output_is_refused_with_what_to_do() -> None:
    async def connect() -> None:
        await asyncio.open_connection("127.0.0.1", 9)

    with Stage() as stage, pytest.raises(RealInputOutput, match=r"create_connection.*mock the step that does it"):
        stage.play(connect)


def test_sync_tests_play_the_stage_while_they_wait() -> None:
    with Stage() as stage:
        engine, clock = StagedBlockingEngine(stage), BlockingVirtualTime(stage)
        run = engine.start(kit_order, 7)
        clock.advance("29d")
        assert run.describe().status == "running"
        began = clock.now()
        assert run.result() == "receipt 7"
        assert clock.now() - began < MONTH / 10
        assert [each.id for each in engine.list()] == [run.id]
        with pytest.raises(InvalidInput, match="open already"):
            engine.open()


def test_a_crash_is_written_as_it_is_read() -> None:
    assert str(Crash.parse("12-after")) == "12-after"
    for wrong in ("0-after", "7", "7-during", "after-7"):
        with pytest.raises(InvalidInput, match="7-before or 7-after"):
            Crash.parse(wrong)
