"""A run whose workers keep dying is suspected: it is advanced alone, in noted slices, until it proves harmless."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

import keepstep
from keepstep import Engine, Retry, step, workflow
from keepstep.journal import PROBE_STRIKES, StoreUnavailable, SystemClock
from keepstep.journal.memory import MemoryDisk
from keepstep.testing import run
from keepstep.worker.probe import Probe, in_slices
from tests.runtime.crashing import CrashingJournal, World

SECONDS_TO_DEATH = 0.05
is_harmful = True
slices: list[str | None] = []


class WatchedJournal(CrashingJournal):
    """Notes which probes were noted, and can fail to note them."""

    cannot_note = False

    async def probe(self, lease_id: str, run_id: str | None) -> None:
        slices.append(run_id)
        if self.cannot_note:
            raise StoreUnavailable("the disk is in trouble")
        await super().probe(lease_id, run_id)


@step(retry=Retry(max_attempts=1))
async def work_in_slices(what: str) -> str:
    if is_harmful:
        await asyncio.Event().wait()
    await asyncio.sleep(0.01)
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        await asyncio.sleep(0.01)
    if what == "fail":
        raise ValueError("not today")
    return f"{what} done"


@step(retry=Retry(max_attempts=1))
def work_on_a_thread(what: str) -> str:
    return f"{what} done on a thread"


@workflow
async def do_slices(what: str) -> str:
    try:
        return await work_in_slices(what)
    except keepstep.StepFailed as failed:
        return f"failed: {failed.__cause__}"


@workflow
async def do_threads(what: str) -> str:
    return f"{await work_in_slices(what)}, {await work_on_a_thread(what)}"


@workflow
async def work_then_wait(what: str) -> str:
    done = await work_in_slices(what)
    await keepstep.receive("go on")
    return done


async def open_watched(world: World) -> Engine:
    engine = await world.open(lease_seconds=2.0)
    assert isinstance(engine._given_journal, CrashingJournal)
    engine._given_journal.__class__ = WatchedJournal
    return engine


async def make_suspect(world: World, start: Callable[[Engine], Awaitable[Any]]) -> Engine:
    """Let as many workers die with the run as make it a suspect; the engine that then has it."""
    global is_harmful
    is_harmful = True
    slices.clear()
    engine = await open_watched(world)
    await start(engine)
    for death in range(PROBE_STRIKES + 1):
        await asyncio.sleep(SECONDS_TO_DEATH)
        world.kill(engine)
        is_harmful = death < PROBE_STRIKES
        engine = await open_watched(world)
        await asyncio.sleep(5)
    return engine


def with_suspect(workflow_: Any, what: str, judge: Callable[[Engine], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        world = World()
        engine = await make_suspect(world, lambda engine: engine.start(workflow_, what, id="suspect"))
        try:
            return await judge(engine)
        finally:
            await world.close()

    return run(main)


async def result(engine: Engine) -> Any:
    return await engine.get("suspect").result(timeout=60)


@pytest.mark.parametrize(("what", "ends"), [("work", "work done"), ("fail", "failed: not today")])
def test_a_suspect_is_driven_in_noted_slices_and_ends_as_it_would(what: str, ends: str) -> None:
    assert with_suspect(do_slices, what, result) == ends
    assert len([each for each in slices if each]) >= 2
    assert slices[-1] is None  # the last slice was survived


def test_a_suspects_step_on_a_thread_is_one_slice() -> None:
    assert with_suspect(do_threads, "work", result) == "work done, work done on a thread"


def test_a_suspect_that_comes_to_rest_is_none_any_more() -> None:
    async def judge(engine: Engine) -> int:
        run_now = await engine.journal.find_run("default", "suspect")
        assert run_now is not None
        await engine.get("suspect").signal("go on")
        assert await result(engine) == "work done"
        return run_now.strikes

    assert with_suspect(work_then_wait, "work", judge) == 0


def test_a_probe_that_cannot_be_noted_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchedJournal, "cannot_note", True)
    assert with_suspect(do_slices, "work", result) == "work done"


async def test_a_suspects_slow_thread_is_not_waited_for_beyond_its_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepstep.worker.probe.SLICE_SECONDS_MAX", 0.01)
    noted: list[str | None] = []

    class Journal:
        async def probe(self, lease_id: str, run_id: str | None) -> None:
            noted.append(run_id)

    class Worker:
        journal = Journal()
        lease_id = "lease"

    class Suspect:
        run_id = "suspect"

    async def take_a_while() -> str:
        await asyncio.to_thread(time.sleep, 0.05)
        assert noted == ["suspect", None]
        return "late"

    probe = Probe(Worker())  # type: ignore[arg-type]
    assert await probe.on_thread(Suspect(), take_a_while()) == "late"  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("how", ["on a thread", "in slices"])
async def test_a_suspect_step_that_is_given_up_before_its_turn_leaves_nothing_behind(how: str) -> None:
    engine: Any = SimpleNamespace(journal=WatchedJournal(MemoryDisk(), clock=SystemClock()), lease_id="none")
    probe = Probe(engine)
    resident: Any = SimpleNamespace(run_id="suspect", is_probed=True, worker=SimpleNamespace(probe=probe))
    await probe._lock.acquire()
    call = asyncio.sleep(0)
    waiting = asyncio.create_task(probe.on_thread(resident, call) if how == "on a thread" else _drive(resident, call))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert inspect.getcoroutinestate(call) == inspect.CORO_CLOSED
    probe._lock.release()
    await asyncio.wait_for(probe.begin("another"), 5)


async def _drive(resident: Any, call: Coroutine[Any, Any, Any]) -> Any:
    return await in_slices(resident, call)
