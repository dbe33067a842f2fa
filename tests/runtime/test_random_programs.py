"""Random workflows of nested structures, on a disk in trouble, killed at random commits: their history is the truth.

A program is a tree of what asyncio offers (``simulation.structures``); ``interpret`` is the workflow that walks it.
What is checked holds whatever the timing was: the run ends; replaying its history gives its outcome again; no step is
recorded twice, and none is executed more often than once and once more for each crash and each commit that failed.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keepstep
from keepstep import Engine, Retry, step, workflow
from keepstep.journal import Condition, RunClosed, Status
from keepstep.runtime import history
from keepstep.runtime.execution import Execution, Identity
from keepstep.testing import run
from keepstep.testing.simulation.structures import NoLuck, Structures
from tests.runtime.crashing import CrashingJournal, World

EXAMPLES = int(os.environ.get("KEEPSTEP_RANDOM_PROGRAMS", "150"))
"""As many are tried in a test run; a campaign sets the variable to more."""
executed: Counter[str] = Counter()


@step(retry=Retry(max_attempts=1))
async def do_random_work(name: str, seconds: float, fails: bool) -> str:
    executed[keepstep.step_info().idempotency_key] += 1
    if seconds:
        await asyncio.sleep(seconds)
    if fails:
        raise NoLuck(name)
    return name


@step
async def undo_random_work(name: str, seconds: float, fails: bool, outcome: Any) -> None:
    executed[keepstep.step_info().idempotency_key] += 1


def look_whether_it_came(name: str, seconds: float, fails: bool) -> Any:
    came = executed[keepstep.step_info().idempotency_key]
    return name if came else keepstep.Outcome("failed", error="it never came")


@step(once=True, resolver=look_whether_it_came)
async def do_random_work_once(name: str, seconds: float, fails: bool) -> str:
    return str(await do_random_work.fn(name, seconds, fails))


class Walk(Structures):
    """What one run of a program has seen, in the order in which it saw it."""

    async def step(self, name: str, seconds: float, fails: bool) -> str:
        return await do_random_work(name, seconds, fails)

    async def sleep(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return f"{asyncio.get_running_loop().time() >= seconds}"

    async def saga(self, nodes: list[Any], fails: bool) -> str:
        try:
            async with keepstep.saga() as saga:
                for each in nodes:
                    if each[0] == "step":
                        await saga.run(do_random_work, *each[1:], undo=undo_random_work)
                    else:
                        await self.go(each)
                if fails:
                    raise NoLuck("saga")
        except (NoLuck, keepstep.StepFailed):
            return "undone"
        return "done"

    async def child(self, node: list[Any]) -> str:
        try:
            return " ".join(await interpret(node))
        except keepstep.Cancelled:
            return "child cancelled"

    async def receive(self, seconds: float) -> str:
        return str(await keepstep.receive("word", timeout=seconds))

    async def meet(self, seconds: float) -> str:
        self.event.set()
        await keepstep.wait_for(lambda: len(self.trace) > 2, timeout=seconds)
        return "met"

    async def once(self, name: str, seconds: float, fails: bool) -> str:
        return await do_random_work_once(name, seconds, fails)

    async def keyed(self, name: str, seconds: float, fails: bool) -> str:
        """Started now, awaited later, under a key that others have too."""
        handle = do_random_work.options(key=name).start(name, seconds, fails)
        await asyncio.sleep(0.5)
        return str(await handle)

    async def callback(self, seconds: float) -> str:
        return str(await keepstep.callback().result(timeout=seconds))

    async def random(self) -> str:
        return f"{keepstep.random().random()} {keepstep.uuid4()} {keepstep.now()}"


@workflow
async def interpret(program: list[Any]) -> list[str]:
    walk = Walk()
    await walk.go(program)
    return list(walk.trace)  # tasks left behind go on writing


names = st.sampled_from(["a", "b", "c"])
seconds = st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0])
steps = st.tuples(st.just("step"), names, seconds, st.sampled_from([False, False, True]))
waits = st.tuples(st.sampled_from(["sleep", "receive", "meet", "callback"]), seconds)
others = st.tuples(st.sampled_from(["once", "keyed"]), names, seconds, st.sampled_from([False, False, True]))
leaves = st.one_of(steps, waits, others, st.just(("random",)))


def larger(node: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    nodes = st.lists(node, min_size=1, max_size=4)
    return st.one_of(
        st.tuples(st.sampled_from(["sequence", "gather", "group", "race", "completed", "generator"]), nodes),
        st.tuples(st.sampled_from(["pipeline", "meeting"]), nodes),
        st.tuples(st.sampled_from(["timeout", "wait_for", "shielded", "cancelled", "extended"]), seconds, node),
        st.tuples(st.just("patient"), seconds, nodes),
        st.tuples(st.just("saga"), nodes, st.booleans()),
        st.tuples(st.sampled_from(["finally_", "within"]), node, node),
        st.tuples(st.sampled_from(["locked", "child", "declining"]), node),
    )


programs = st.recursive(leaves, larger, max_leaves=12)


async def run_with_crashes(
    program: Any, crashes: list[tuple[int, str]], troubles: dict[int, str]
) -> tuple[Any, Engine, World]:
    """Start the program, and kill its engine at the commits that are named, each counted from the crash before it."""
    world = World()
    CrashingJournal.troubles = dict(troubles)
    executed.clear()
    for crash in crashes:
        CrashingJournal.commits = 0
        world.death.clear()
        opening = asyncio.ensure_future(world.open(crash, lease_seconds=2.0))
        if await world.is_dead_before(opening):
            continue
        engine = opening.result()
        work = asyncio.ensure_future(speak_to(engine, program))
        if not await world.is_dead_before(work):
            return work.result() if work.done() else await stuck(engine), engine, world
    engine = await world.open(lease_seconds=2.0)
    try:
        async with asyncio.timeout(600):
            return await speak_to(engine, program), engine, world
    except TimeoutError:
        return await stuck(engine), engine, world


async def speak_to(engine: Engine, program: Any) -> Any:
    """Start the run, or attach to it, and say three words to it in the course of time."""
    handle = await engine.start(interpret, program, id="random")
    for n in range(3):
        try:
            await handle.signal("word", n)
        except RunClosed:
            break
        await asyncio.sleep(0.4)
    return await handle.result()


async def stuck(engine: Engine) -> str:
    info = await engine.get("random").describe()
    return f"stuck: {info}"


async def check(program: Any, crashes: list[tuple[int, str]], troubles: dict[int, str]) -> None:
    result, engine, world = await run_with_crashes(program, crashes, troubles)
    found = await engine.journal.find_run("default", "random")
    assert found is not None
    assert found.status is Status.COMPLETED, result
    assert found.condition is Condition.NONE
    loaded = await engine.journal.load(found.run_id)
    answered = Counter(event.key for event in loaded.events if event.type in ("step_completed", "step_failed"))
    assert not answered or max(answered.values()) == 1
    assert not executed or max(executed.values()) <= 1 + len(crashes) + len(troubles)
    completed = {event.key for event in loaded.events if event.type == "step_completed"}
    assert {f"{found.run_id}/{key}" for key in completed} <= set(executed)
    assert all(count == 1 for key, count in executed.items() if "_once" in key)
    identity = Identity(
        run_id=found.run_id,
        workflow_id=found.workflow_id,
        namespace=found.namespace,
        type=found.type,
        queue=found.queue,
        started_at=found.started_at,
    )
    execution = Execution(interpret, identity)
    execution.replay([event for event in loaded.events if event.type not in history.CLOSING])
    assert execution.outcome is not None
    assert execution.outcome.value == result
    assert not loaded.state
    await world.close()


crash_points = st.lists(st.tuples(st.integers(1, 12), st.sampled_from(["before", "after"])), max_size=4)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # coroutines that are never awaited
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs, crash_points, st.dictionaries(st.integers(1, 15), st.sampled_from(["refused", "unknown"]), max_size=4))
def test_random_programs_end_and_their_history_says_what_they_did(program: Any, crashes: Any, troubles: Any) -> None:
    run(lambda: check(program, crashes, troubles))
