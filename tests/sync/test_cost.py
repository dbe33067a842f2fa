"""A step of a sync workflow costs hardly more than one of an async workflow."""

from __future__ import annotations

import time

import keepstep
from keepstep import Engine, sync
from tests.runtime.programs import on_an_engine

STEPS = 1_000
ROUNDS = 5
RATIO_MAX = 1.5


@keepstep.step
async def count_up(n: int) -> int:
    return n + 1


@sync.step
async def sync_count_up(n: int) -> int:
    return n + 1


@keepstep.workflow
async def count_in_async(steps: int) -> int:
    n = 0
    for _ in range(steps):
        n = await count_up(n)
    return n


@sync.workflow
def count_in_sync(steps: int) -> int:
    n = 0
    for _ in range(steps):
        n = sync_count_up(n)
    return n


def seconds_of(workflow: keepstep.Workflow[[int], int]) -> float:
    """Processor time, without what starting and ending take."""

    async def program(engine: Engine) -> float:
        await engine.run(workflow, 10)
        began = time.process_time()
        assert await engine.run(workflow, STEPS) == STEPS
        return time.process_time() - began

    return float(on_an_engine(program))


def test_a_step_of_a_sync_workflow_costs_less_than_one_and_a_half_of_an_async_one() -> None:
    rounds = [(seconds_of(count_in_async), seconds_of(count_in_sync)) for _ in range(ROUNDS)]
    in_async, in_sync = (min(each) for each in zip(*rounds, strict=True))
    assert in_sync <= in_async * RATIO_MAX, f"{in_sync / in_async:.2f} times"
