"""What the guard costs: per audit event, per turn, per scanned workflow, and as a share of 10,000 trivial steps.

The steps are the runtime's own, in memory: no store, no work inside the step. Every real step costs several times as
much, so the real share is smaller than the one printed.

    python -m benchmarks.guard_cost
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from keepstep.journal import Event
from keepstep.runtime import history
from keepstep.runtime.execution import Execution, Identity
from keepstep.runtime.guard import scan, take_violation, turn_begins, turn_ends
from keepstep.runtime.loop import LOOP_VERSION
from keepstep.runtime.step import step
from keepstep.runtime.workflow import workflow

STEPS = 10_000
REPEATS = 5


@dataclass(frozen=True)
class Cost:
    """Nanoseconds, except where a name says otherwise."""

    event_outside: float
    event_inside: float
    turn: float
    scan_ms: float
    step: float

    @property
    def share(self) -> float:
        """The guard's share of a trivial step, which is one turn."""
        return self.turn / self.step


def measure() -> Cost:
    turn_begins()
    turn_ends()
    outside = _each(lambda: sys.audit("keepstep.benchmark"), STEPS)
    turn_begins()
    inside = _each(lambda: sys.audit("keepstep.benchmark"), STEPS)
    turn_ends()
    return Cost(outside, inside, _each(_turn, STEPS), _each(lambda: scan(trivial_flow), 20) / 1e6, _trivial_step())


def _turn() -> None:
    turn_begins()
    turn_ends()
    take_violation()


def _each(work: Callable[[], object], times: int) -> float:
    """The best of several rounds, without the cost of calling an empty function so often."""

    def best(call: Callable[[], object]) -> float:
        rounds = []
        for _ in range(REPEATS):
            began = time.perf_counter_ns()
            for _ in range(times):
                call()
            rounds.append(time.perf_counter_ns() - began)
        return min(rounds) / times

    return max(best(work) - best(lambda: None), 1.0)


def _trivial_step() -> float:
    return min(_steps_of_one_run() for _ in range(REPEATS)) / STEPS


def _steps_of_one_run() -> int:
    """One run of 10,000 steps in memory: answered as soon as they are asked for, and stored nowhere."""
    identity = Identity(
        run_id="run", workflow_id="id", namespace="default", type="trivial_flow", queue="default", started_at=0
    )
    execution = Execution(trivial_flow, identity)
    arguments = trivial_flow.signature.encode_args((STEPS,), {})
    began = time.perf_counter_ns()
    _deliver(execution, history.WORKFLOW_STARTED, None, history.WorkflowStarted(arguments, bytes(16), LOOP_VERSION))
    while execution.outcome is None:
        for operation in execution.take_new():
            _deliver(
                execution, history.STEP_COMPLETED, operation.key, history.StepCompleted(operation.digest, arguments)
            )
    return time.perf_counter_ns() - began


def _deliver(execution: Execution, kind: str, key: str | None, data: object) -> None:
    execution.deliver(Event(1, kind, 0, key, msgspec.msgpack.encode(data)))


@step
def trivial_step() -> list[int]:
    return []


@workflow
async def trivial_flow(steps: int) -> int:
    for _ in range(steps):
        await trivial_step()
    return steps


def main() -> None:
    cost = measure()
    print(f"audit event outside of turns  {cost.event_outside:8.0f} ns")
    print(f"audit event in a turn         {cost.event_inside:8.0f} ns")
    print(f"turn begins, ends, is asked   {cost.turn:8.0f} ns")
    print(f"scan of a small workflow      {cost.scan_ms:8.2f} ms")
    print(f"trivial step in memory          {cost.step:8.0f} ns")
    print(f"guard's share of it           {cost.share:8.2%}")


if __name__ == "__main__":
    main()
