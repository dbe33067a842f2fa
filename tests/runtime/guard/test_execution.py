"""The guard where it stands: a run in memory, driven as the worker drives it."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keepstep.journal import Event, Status
from keepstep.runtime import ambient, history
from keepstep.runtime.execution import Execution, Identity
from keepstep.runtime.guard import Nondeterminism, unsafe
from keepstep.runtime.loop import LOOP_VERSION
from keepstep.runtime.step import step
from keepstep.runtime.workflow import workflow


def started(flow: Any, *args: Any) -> Execution:
    """A run of the workflow after its first turn."""
    identity = Identity(
        run_id="run", workflow_id="id", namespace="default", type=flow.name, queue="default", started_at=0
    )
    execution = Execution(flow, identity)
    data = history.WorkflowStarted(flow.signature.encode_args(args, {}), bytes(16), LOOP_VERSION)
    execution.deliver(Event(1, history.WORKFLOW_STARTED, 0, None, msgspec.msgpack.encode(data)))
    return execution


def spill(where: str) -> int:
    """Hidden from the scan behind a lookup that only the running program can do."""
    return int(getattr(Path(where), "write" + "_text")("x"))


@workflow
async def guard_spills(where: str) -> int:
    return spill(where)


@workflow
async def guard_swallows(where: str) -> str:
    try:
        spill(where)
    except Exception:
        return "swallowed"
    return "spilled"


@workflow
async def guard_spills_in_a_task(where: str) -> None:
    async def inner() -> None:
        spill(where)

    await asyncio.gather(inner(), return_exceptions=True)


@workflow
async def guard_is_off(where: str) -> int:
    with unsafe():
        return spill(where)


@workflow(guard=False)
async def guard_scans_nothing(where: str) -> float:
    return time.time()


@step
def guard_step() -> float:
    return time.time()


@workflow
async def guard_everyday(where: str) -> str:
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
    queue: asyncio.Queue[str] = asyncio.Queue()
    await queue.put(str(ambient.uuid4()))
    print(ambient.now().astimezone(UTC), ambient.random().random(), file=sys.stderr)
    import wsgiref.util  # imported late on purpose

    return wsgiref.util.__name__ + str(datetime.fromtimestamp(0, UTC)) + await queue.get()


@pytest.mark.parametrize("flow", [guard_spills, guard_swallows, guard_spills_in_a_task], ids=lambda flow: flow.name)
def test_a_run_that_touches_the_world_is_stopped_at_the_users_line(flow: Any, tmp_path: Path) -> None:
    with pytest.raises(Nondeterminism) as caught:
        started(flow, str(tmp_path / "x"))
    assert (caught.value.file, caught.value.line) == (__file__, spill.__code__.co_firstlineno + 2)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("flow", [guard_is_off, guard_scans_nothing, guard_everyday], ids=lambda flow: flow.name)
def test_a_run_that_may_is_left_alone(flow: Any, tmp_path: Path) -> None:
    execution = started(flow, str(tmp_path / "x"))
    assert execution.outcome is not None
    assert execution.outcome.status is Status.COMPLETED


def test_a_loop_call_that_needs_a_thread_is_refused_in_words_of_the_guard() -> None:
    @workflow(name="guard_threads")
    async def flow(where: str) -> None:
        # Through the module's dictionary, where the scan does not look.
        await vars(asyncio)["to_thread"](guard_step)

    with pytest.raises(Nondeterminism, match="run_in_executor") as caught:
        started(flow, "")
    assert caught.value.file == __file__


def test_decorating_a_workflow_that_reads_the_clock_is_refused() -> None:
    with pytest.raises(Nondeterminism, match=r"keepstep\.now\(\)"):

        @workflow(name="guard_clock")
        async def flow() -> float:
            return time.time()
