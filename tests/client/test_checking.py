"""What a check says of a run is what a worker with that code would do with it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import keepstep
from keepstep import step
from keepstep.client.checking.verdict import Verdict, verdict_on
from keepstep.journal import Condition, Loaded, Status
from keepstep.runtime.registry import forget
from keepstep.testing import run
from keepstep.worker.preparing import prepare_to_run
from keepstep.worker.watchdog import Watchdog
from tests.runtime.crashing import World
from tests.runtime.deploying import NAME, Code, deploy, until_shown

executed: list[int] = []


@step
async def take_down(n: int) -> int:
    executed.append(n)
    return n


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    watchdog = Watchdog()
    yield watchdog
    watchdog.stop()


async def recorded() -> int:
    total = await take_down(1) + await take_down(2)
    await keepstep.receive("go")
    return total


async def goes_on() -> int:
    total = await take_down(1) + await take_down(2)
    await keepstep.receive("go")
    return total + await take_down(3)


async def ends_here() -> int:
    return await take_down(1) + await take_down(2)


async def other_arguments() -> int:
    return await take_down(1) + await take_down(3)


async def other_order() -> int:
    return await take_down(2) + await take_down(1)


async def other_kind() -> int:
    await keepstep.sleep(1)
    return await take_down(1)


async def never_rests() -> int:
    await take_down(1)
    while True:
        await asyncio.sleep(0)


async def leaves() -> int:
    await take_down(1)
    sys.exit(3)


async def patched() -> int:
    n = 5 if keepstep.patched("five") else 1
    total = await take_down(n) + await take_down(2)
    await keepstep.receive("go")
    return total


def judged(new: Code, watchdog: Watchdog) -> tuple[Verdict, Condition]:
    """What a check says of a run that ``recorded`` has brought to its signal, and what a worker makes of it."""

    async def main() -> tuple[Verdict, Condition]:
        world = World()
        first = await world.open()
        handle = await first.start(deploy(recorded), id=NAME)
        await until_shown(first, Condition.WAITING)
        await first.close()
        world.engines.remove(first)
        workflow = deploy(new)
        client = await world.open(workers=False)
        executed.clear()
        verdict = verdict_on(await client.journal.load(str(handle.run_id)), workflow, watchdog)
        assert executed == []
        assert verdict_on(await client.journal.load(str(handle.run_id)), workflow, watchdog) == verdict
        await client.journal.rebuild()
        second = await world.open()
        while True:
            info = await second.get(NAME).describe()
            if info.condition is Condition.BLOCKED or info.status is not Status.RUNNING:
                break
            if await client.journal.read_messages(info.run_id) == [] and second.worker is not None:
                resident = second.worker.residents.get(info.run_id)
                if resident is not None and resident.is_idle:
                    break
            await asyncio.sleep(0.1)
        if verdict.troubles:
            assert info.error == verdict.troubles[0].diff.summary
        world.engines.remove(client)
        await world.close()
        return verdict, info.condition

    return run(main)


@pytest.mark.parametrize(
    ("new", "seq"),
    [
        (recorded, 0), (goes_on, 0), (ends_here, 0), (patched, 0), (other_arguments, 3), (other_order, 2),
        (other_kind, 2), (never_rests, 2), (leaves, 2),
    ],
)  # fmt: skip
def test_a_check_and_a_worker_agree(new: Code, seq: int, watchdog: Watchdog) -> None:
    verdict, condition = judged(new, watchdog)
    assert (verdict.runs, verdict.events) == (1, 3)
    assert bool(verdict.troubles) is (condition is Condition.BLOCKED) is (seq > 0)
    if seq:
        assert verdict.troubles[0].diff.seq == seq
        assert verdict.troubles[0].id == NAME


def test_code_that_never_comes_back_is_interrupted() -> None:
    async def endless() -> None:
        while True:
            pass

    async def load() -> Loaded:
        world = World()
        engine = await world.open()
        handle = await engine.start(deploy(recorded), id=NAME)
        await until_shown(engine, Condition.WAITING)
        loaded = await engine.journal.load(str(handle.run_id))
        await world.close()
        return loaded

    loaded = run(load)
    watchdog = Watchdog(turn_seconds_max=0.2)
    [trouble] = verdict_on(loaded, deploy(endless), watchdog).troubles
    watchdog.stop()
    assert "without waiting for anything" in trouble.diff.summary


class CountedTurns:
    """Counts the signs that a replay gives."""

    def __init__(self) -> None:
        self.signs = 0

    def enter(self) -> None:
        """A turn begins."""

    def go_on(self) -> None:
        self.signs += 1

    def leave(self) -> bool:
        return False


def test_a_long_history_is_not_taken_for_code_that_does_not_come_back() -> None:
    async def long() -> None:
        for n in range(2500):
            await take_down(n)
        await keepstep.receive("go")

    async def load() -> Loaded:
        world = World()
        engine = await world.open()
        handle = await engine.start(deploy(long), id=NAME)
        await until_shown(engine, Condition.WAITING)
        loaded = await engine.journal.load(str(handle.run_id))
        await world.close()
        return loaded

    turns = CountedTurns()
    assert verdict_on(run(load), deploy(long), turns).events == 2501
    assert turns.signs == 2


def test_code_that_nobody_could_replay_is_refused_before_any_run_is_looked_at() -> None:
    import time

    async def looks_at_the_clock() -> float:
        return time.time()

    workflow: Any = deploy(looks_at_the_clock)
    workflow.is_guarded = True
    try:
        with pytest.raises(keepstep.Nondeterminism):
            prepare_to_run([workflow])
    finally:
        forget("workflow", NAME)
