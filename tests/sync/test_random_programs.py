"""Random programs do the same in both colours: the same result, and the same history, event by event.

A program is a tree; each colour has a workflow that walks it. The sync one is also walked while its run is evicted
again and again, so that it goes on from its history wherever it stands.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keepstep
from keepstep import Engine, Outcome, Retry, StepFailed, sync
from tests.runtime.programs import on_an_engine

EXAMPLES = 40
EVICTIONS_MAX = 200


class Unlucky(Exception):
    """A program fails on purpose."""


@keepstep.step(retry=Retry(max_attempts=1))
async def act_in_both(name: str, seconds: float, fails: bool) -> str:
    if seconds:
        await asyncio.sleep(seconds)
    if fails:
        raise Unlucky(name)
    return name


@keepstep.step
async def undo_in_both(name: str, seconds: float, fails: bool, outcome: Outcome) -> None: ...


class WalkInAsync:
    """What one run has seen."""

    def __init__(self) -> None:
        self.trace: list[str] = []

    async def go(self, node: list[Any]) -> str:
        try:
            told = await getattr(self, node[0])(*node[1:])
        except (Unlucky, StepFailed, TimeoutError) as error:
            told = type(error).__name__
        except asyncio.CancelledError:
            self.trace.append(f"cancelled {node[0]}")
            raise
        self.trace.append(f"{node[0]} {told}")
        return f"{told}"

    async def step(self, *given: Any) -> str:
        return await act_in_both(*given)

    async def sleep(self, seconds: float) -> str:
        await keepstep.sleep(seconds)
        return str(keepstep.now() - keepstep.info().started_at)

    async def receive(self, seconds: float) -> str:
        return str(await keepstep.receive("word", timeout=seconds))

    async def sequence(self, nodes: list[Any]) -> str:
        return " ".join([await self.go(each) for each in nodes])

    async def gather(self, nodes: list[Any]) -> str:
        return " ".join(await asyncio.gather(*[asyncio.create_task(self.go(each)) for each in nodes]))

    async def timeout(self, seconds: float, node: list[Any]) -> str:
        async with asyncio.timeout(seconds):
            return await self.go(node)

    async def last(self, node: list[Any], last: list[Any]) -> str:
        try:
            return await self.go(node)
        finally:
            await self.go(last)

    async def cancelled(self, seconds: float, node: list[Any]) -> str:
        task = asyncio.create_task(self.go(node))
        await keepstep.sleep(seconds)
        task.cancel()
        try:
            return f"too late {await task}"
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            return "cancelled"

    async def saga(self, nodes: list[Any], fails: bool) -> str:
        async with keepstep.saga() as saga:
            for each in nodes:
                if each[0] == "step":
                    await saga.run(act_in_both, *each[1:], undo=undo_in_both)
                else:
                    await self.go(each)
            if fails:
                raise Unlucky
        return "done"

    async def child(self, node: list[Any]) -> str:
        child = await keepstep.start_child(walk_in_both_async, node)
        return " ".join(await child)


class WalkInSync:
    """The same, without ``await``."""

    def __init__(self) -> None:
        self.trace: list[str] = []

    def go(self, node: list[Any]) -> str:
        try:
            told = getattr(self, node[0])(*node[1:])
        except (Unlucky, StepFailed, TimeoutError) as error:
            told = type(error).__name__
        except asyncio.CancelledError:
            self.trace.append(f"cancelled {node[0]}")
            raise
        self.trace.append(f"{node[0]} {told}")
        return f"{told}"

    def step(self, *given: Any) -> str:
        return act_in_both.start(*given).result()

    def sleep(self, seconds: float) -> str:
        sync.sleep(seconds)
        return str(sync.now() - sync.info().started_at)

    def receive(self, seconds: float) -> str:
        return str(sync.receive("word", timeout=seconds))

    def sequence(self, nodes: list[Any]) -> str:
        return " ".join([self.go(each) for each in nodes])

    def gather(self, nodes: list[Any]) -> str:
        return " ".join(sync.gather(*[sync.start(self.go, each) for each in nodes]))

    def timeout(self, seconds: float, node: list[Any]) -> str:
        with sync.timeout(seconds):
            return self.go(node)

    def last(self, node: list[Any], last: list[Any]) -> str:
        try:
            return self.go(node)
        finally:
            self.go(last)

    def cancelled(self, seconds: float, node: list[Any]) -> str:
        branch = sync.start(self.go, node)
        sync.sleep(seconds)
        branch.cancel()
        try:
            return f"too late {branch.result()}"
        except asyncio.CancelledError:
            if not branch._future.cancelled():
                raise
            return "cancelled"

    def saga(self, nodes: list[Any], fails: bool) -> str:
        with sync.saga() as saga:
            for each in nodes:
                if each[0] == "step":
                    saga.run(act_in_both, *each[1:], undo=undo_in_both)
                else:
                    self.go(each)
            if fails:
                raise Unlucky
        return "done"

    def child(self, node: list[Any]) -> str:
        return " ".join(sync.start_child(walk_in_both_sync, node).result())


@keepstep.workflow(name="walk_in_both")
async def walk_in_both_async(program: list[Any]) -> list[str]:
    walk = WalkInAsync()
    await walk.go(program)
    return walk.trace


@keepstep.workflow(name="walk_in_both_sync")
def walk_in_both_sync(program: list[Any]) -> list[str]:
    walk = WalkInSync()
    walk.go(program)
    return walk.trace


names = st.sampled_from(["a", "b", "c"])
seconds = st.sampled_from([0.0, 0.5, 1.0, 3.0])
limits = st.sampled_from([0.25, 0.75, 1.75, 2.25])
"""Never at the moment at which something else ends."""
steps = st.builds(
    lambda name, wait, fails: ["step", name, wait, fails], names, seconds, st.integers(0, 4).map(lambda n: not n)
)
leaves = st.one_of(
    steps,
    steps,
    st.builds(lambda wait: ["sleep", wait], seconds),
    st.builds(lambda wait: ["receive", wait], limits),
)


def structures(node: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Any]]:
    nodes = st.lists(node, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda each: ["sequence", each], nodes),
        st.builds(lambda each: ["gather", each], nodes),
        st.builds(lambda limit, each: ["timeout", limit, each], limits, node),
        st.builds(lambda each, last: ["last", each, last], node, leaves),
        st.builds(lambda limit, each: ["cancelled", limit, each], limits, node),
        st.builds(lambda each, fails: ["saga", each, fails], nodes, st.booleans()),
        st.builds(lambda each: ["child", each], node),
    )


_TIME = re.compile(r"(\d+ days?, )?\d+:\d\d:\d\d(\.\d+)?")
"""As a ``timedelta`` is written."""

programs = st.recursive(leaves, structures, max_leaves=8)


async def evict_again_and_again(engine: Engine) -> None:
    worker = engine.worker
    assert worker is not None
    for _ in range(EVICTIONS_MAX):
        await asyncio.sleep(0.3)
        for resident in list(worker.residents.values()):
            resident.release()


def told_by(workflow: Any, program: list[Any], *, is_evicted: bool) -> tuple[list[str], list[tuple[str, str | None]]]:
    async def tell(engine: Engine) -> Any:
        evicting = asyncio.create_task(evict_again_and_again(engine)) if is_evicted else None
        handle = await engine.start(workflow, program, id="r")
        await asyncio.sleep(0.6)
        with suppress(keepstep.RunClosed):
            await handle.signal("word", "heard")
        result = await handle.result(timeout=3600)
        if evicting is not None:
            evicting.cancel()
        return result, [(event.type, event.key) async for event in handle.history()]

    told: tuple[list[str], list[tuple[str, str | None]]] = on_an_engine(tell)
    return told


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs)
def test_a_program_does_the_same_in_both_colours(program: list[Any]) -> None:
    in_async = told_by(walk_in_both_async, program, is_evicted=False)
    in_sync = told_by(walk_in_both_sync, program, is_evicted=False)
    keys = [(kind, key and key.replace("walk_in_both_sync", "walk_in_both")) for kind, key in in_sync[1]]
    assert (in_sync[0], keys) == in_async
    evicted, _ = told_by(walk_in_both_sync, program, is_evicted=True)
    assert shape(evicted) == shape(in_sync[0]) or has_limits(program)


def shape(trace: list[str]) -> list[str]:
    """A trace without the times in it, which are later where a run was away from memory."""
    return [_TIME.sub("later", each) for each in trace]


def has_limits(node: Any) -> bool:
    """Whether what comes of a program hangs on how long its steps take."""
    if not isinstance(node, list):
        return False
    return node[:1] in (["timeout"], ["cancelled"], ["receive"], ["gather"], ["child"]) or any(map(has_limits, node))
