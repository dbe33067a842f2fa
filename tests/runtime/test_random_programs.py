"""Random workflows of nested structures, on a disk in trouble, killed at random commits: their history is the truth.

A program is a tree of what asyncio offers; ``interpret`` is the workflow that walks it. What is checked holds whatever
the timing was: the run ends; replaying its history gives its outcome again; no step is recorded twice, and none is
executed more often than once and once more for each crash and each commit that failed.
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
from tests.runtime.crashing import CrashingJournal, World

EXAMPLES = int(os.environ.get("KEEPSTEP_RANDOM_PROGRAMS", "150"))
"""As many are tried in a test run; a campaign sets the variable to more."""
executed: Counter[str] = Counter()


class NoLuck(Exception):
    """A step fails on purpose."""


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


class Walk:
    """What one run of a program has seen, in the order in which it saw it."""

    def __init__(self) -> None:
        self.trace: list[str] = []
        self.queue: asyncio.Queue[str] = asyncio.Queue(2)
        self.lock = asyncio.Lock()
        self.event = asyncio.Event()

    async def go(self, node: list[Any]) -> str:
        try:
            told = await getattr(self, node[0])(*node[1:])
        except NoLuck:
            told = "unlucky"
        except keepstep.StepFailed:
            told = "failed"
        except TimeoutError:
            told = "late"
        except asyncio.CancelledError:
            self.trace.append(f"cancelled {node[0]}")
            raise
        self.trace.append(f"{node[0]} {told}")
        return str(told)

    async def step(self, name: str, seconds: float, fails: bool) -> str:
        return await do_random_work(name, seconds, fails)

    async def sleep(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return f"{asyncio.get_running_loop().time() >= seconds}"

    async def sequence(self, nodes: list[Any]) -> str:
        return " ".join([await self.go(each) for each in nodes])

    async def gather(self, nodes: list[Any]) -> str:
        return " ".join(await asyncio.gather(*(self.go(each) for each in nodes)))

    async def group(self, nodes: list[Any]) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.plain(each)) for each in nodes]
        except ExceptionGroup as errors:
            if errors.split((keepstep.StepFailed, TimeoutError, ExceptionGroup))[1] is not None:
                raise
            return f"group of {len(errors.exceptions)}"
        return " ".join(each.result() for each in tasks)

    async def plain(self, node: list[Any]) -> str:
        """Without catching what it raises."""
        return str(await getattr(self, node[0])(*node[1:]))

    async def race(self, nodes: list[Any]) -> str:
        tasks = [asyncio.create_task(self.go(each)) for each in nodes]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return " ".join(each.result() for each in done)

    async def completed(self, nodes: list[Any]) -> str:
        return " ".join([await each for each in asyncio.as_completed([self.go(each) for each in nodes])])

    async def timeout(self, seconds: float, node: list[Any]) -> str:
        async with asyncio.timeout(seconds):
            return await self.go(node)

    async def wait_for(self, seconds: float, node: list[Any]) -> str:
        return await asyncio.wait_for(self.go(node), seconds)

    async def shielded(self, seconds: float, node: list[Any]) -> str:
        inner = asyncio.ensure_future(self.go(node))
        try:
            return await asyncio.wait_for(asyncio.shield(inner), seconds)
        except TimeoutError:
            return f"shielded {await inner}"

    async def locked(self, node: list[Any]) -> str:
        async with self.lock:
            return await self.plain(["go_unlocked", node])

    async def go_unlocked(self, node: list[Any]) -> str:
        return await self.go(node) if node[0] in ("step", "sleep") else "not under a lock"

    async def finally_(self, node: list[Any], last: list[Any]) -> str:
        try:
            return await self.go(node)
        finally:
            await self.go(last)

    async def generator(self, nodes: list[Any]) -> str:
        async def walk() -> Any:
            for each in nodes:
                yield await self.go(each)

        told = []
        async for each in walk():
            told.append(each)
            if each == "failed":
                break
        return " ".join(told)

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
waits = st.tuples(st.sampled_from(["sleep", "receive", "meet"]), seconds)
leaves = st.one_of(steps, waits, st.just(("random",)))


def larger(node: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    nodes = st.lists(node, min_size=1, max_size=4)
    return st.one_of(
        st.tuples(st.sampled_from(["sequence", "gather", "group", "race", "completed", "generator"]), nodes),
        st.tuples(st.sampled_from(["timeout", "wait_for", "shielded"]), seconds, node),
        st.tuples(st.just("saga"), nodes, st.booleans()),
        st.tuples(st.just("finally_"), node, node),
        st.tuples(st.sampled_from(["locked", "child"]), node),
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
    assert {f"{found.run_id}/{key}" for key in answered} <= set(executed)
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
