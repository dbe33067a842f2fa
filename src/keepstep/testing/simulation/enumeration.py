"""Enumeration: for each program, every store call of its run fails in every way, one at a time. Nothing is sampled.

    python -m keepstep.testing.simulation.enumeration --programs 60

A program runs once undisturbed, on one worker that is its own client, and every call that this process makes of the
journal is counted, from the opening to the end. (Generated programs are started by a process of their own, so that the
worker must claim them.) Then it runs again for each call and each way in which that call can go
wrong: it is refused, lost, timed out; the process dies before it, or when it has happened and nobody has heard of it.
After each, the same checkers judge as after a simulation. The same is done to one schedule of each policy.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from keepstep.schedules import Overlap
from keepstep.testing.scoreboard import Score

from .customers import Customer
from .features import EVERYTHING
from .handwritten import HANDWRITTEN, IN_SYNC, SCHEDULE_SECONDS, SCHEDULES, write_schedule
from .language import NEWEST, TALK, WALK, WALK_IN_SYNC
from .operator import Operator
from .planners import Planner
from .process import Process
from .programs import Node, count_changes, draw_program
from .record import Start
from .stores import STORES
from .trouble import Outcome
from .world import World, bury_quietly, play

WAYS = (Outcome.REFUSED, Outcome.LOST, Outcome.TIMED_OUT, Outcome.DIED_BEFORE, Outcome.DIED_AFTER)

GENERATED_NODES_MAX = 6

CALLS_MAX = 400
"""A program that makes more calls than this is not a small one."""

PROGRESS_SECONDS = 10.0

SHOWN_MAX = 3


class Strike:
    """Counts the store calls of the first worker, and has one of them go wrong."""

    def __init__(self, at: int = 0, way: Outcome = Outcome.FINE) -> None:
        self._at = at
        self._way = way
        self._process: Process | None = None
        self._is_over = False
        self.calls: list[str] = []

    def arm(self, process: Process) -> None:
        """The first process gets it; those that replace it are left in peace."""
        if self._process is None:
            self._process = process
            process.temper.decide = self._decide

    def end(self) -> None:
        """The run has come to its end."""
        self._is_over = True

    def _decide(self, name: str) -> Outcome:
        if self._is_over:
            return Outcome.FINE
        self.calls.append(name)
        if len(self.calls) != self._at:
            return Outcome.FINE
        assert self._process is not None
        self._process.disturb()
        return self._way


def run_program(
    program: Node, store: str, strike: Strike, *, is_claimed: bool = False, write: Callable[[str], None] | None = None
) -> list[str]:
    """Run a program while one call goes wrong; what is wrong with what came of it."""

    async def plot(world: World) -> None:
        fleet = world.fleet
        fleet.version, fleet.record.features = NEWEST, EVERYTHING
        supervisor = asyncio.create_task(_supervise(world, strike))
        client = None
        if is_claimed:
            client = fleet.make()
            await client.open(fleet.is_surely_dead, has_worker=False)
        type_ = TALK if count_changes(program) else WALK
        if any(program is each for each in IN_SYNC.values()):
            type_ = WALK_IN_SYNC
        customer = Customer(Start("run", type_, program), fleet, random.Random("customer"), world.trace, client)
        await customer.visit_in_peace()
        await asyncio.gather(Operator(fleet, world.trace).look_after_runs(), customer.wait_for_promises())
        await customer.hear_the_end()
        strike.end()
        supervisor.cancel()

    _, violations = play(plot, "enumeration", store, workers=1, write=write)
    return violations


def run_schedule(
    overlap: Overlap, store: str, strike: Strike, *, write: Callable[[str], None] | None = None
) -> list[str]:
    """The same with a schedule. Calls count until it has ended: what follows is how its runs come to their end."""

    async def plot(world: World) -> None:
        fleet = world.fleet
        fleet.version = NEWEST
        supervisor = asyncio.create_task(_supervise(world, strike))
        planner = Planner(write_schedule(overlap), fleet, world.seed, random.Random("planner"), world.trace)
        await planner.visit_in_peace()
        await asyncio.sleep(SCHEDULE_SECONDS / 2)
        strike.end()
        await Operator(fleet, world.trace).look_after_runs()
        supervisor.cancel()

    _, violations = play(plot, "enumeration", store, workers=1, write=write)
    return violations


async def _supervise(world: World, strike: Strike) -> None:
    """Start a worker, and another one whenever it has died."""
    while True:
        await world.fleet.fill(0, strike.arm)
        process = world.fleet.places[0]
        assert process is not None
        await process.died.wait()
        world.trace(f"{process} is dead and will be replaced")


class Story(Protocol):
    """What is played again and again: what was wrong while that call went wrong."""

    def __call__(self, strike: Strike, *, write: Callable[[str], None] | None = None) -> list[str]: ...


def enumerate_program(
    program: Node, store: str, *, is_claimed: bool = False, only: str | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Every case of a program, or only that one: how it is called, and what was wrong."""
    return _enumerate(partial(run_program, program, store, is_claimed=is_claimed), only)


def enumerate_schedule(overlap: Overlap, store: str, *, only: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """The same of a schedule."""
    return _enumerate(partial(run_schedule, overlap, store), only)


def _enumerate(story: Story, only: str | None) -> Iterator[tuple[str, list[str]]]:
    undisturbed = Strike()
    violations = story(undisturbed)
    calls = list(undisturbed.calls)
    assert 0 < len(calls) <= CALLS_MAX, f"{story} makes {len(calls)} calls"
    if only is None:
        yield "undisturbed", violations
    for at, call in enumerate(calls, 1):
        for way in WAYS:
            case = f"{at}-{call}-{way.name}".lower()
            if only in (None, case):
                yield case, story(Strike(at, way), write=None if only is None else print)


def programs(count: int) -> dict[str, Node]:
    """The handwritten ones, and as many generated ones as are missing."""
    chosen = dict(list(HANDWRITTEN.items())[:count])
    for number in range(count - len(chosen)):
        chosen[f"generated {number}"] = draw_program(random.Random(f"enumeration/{number}"), GENERATED_NODES_MAX)
    return chosen


def replay_command(program: str, store: str, case: str) -> str:
    """What shows a case again, with its story."""
    return f"python -m keepstep.testing.simulation.enumeration --store {store} --only '{program}' --case {case}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keepstep.testing.simulation.enumeration", description=__doc__)
    parser.add_argument("--programs", type=int, default=len(HANDWRITTEN) + 12, help="how many")
    parser.add_argument("--store", choices=sorted(STORES), default="memory")
    parser.add_argument("--only", help="one program by its name")
    parser.add_argument("--case", help="one case of it, such as 17-commit-lost; tells its story")
    return parser.parse_args()


class Tally:
    """What all cases so far came to."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._began = self._told = time.monotonic()
        self.tried = 0
        self.replay: list[str] = []

    def add(self, program: str, case: str, violations: list[str]) -> None:
        self.tried += 1
        if violations:
            self.replay.append(replay_command(program, self._store, case))
            print(f"{program}, {case} FAILED:")
            for each in violations[:SHOWN_MAX]:
                print(f"  {each}")
            print(f"  see it again: {self.replay[-1]}", flush=True)
        if time.monotonic() - self._told > PROGRESS_SECONDS:
            self._told = time.monotonic()
            print(f"{self.tried:,} cases, {len(self.replay)} failed, now at {program}", flush=True)

    def score(self, programs: int) -> Score:
        return Score(
            part=f"enumeration on {self._store}",
            tried=self.tried,
            lost=len(self.replay),
            unit="programs × calls × failures",
            seconds=time.monotonic() - self._began,
            replay=self.replay,
            counts={"programs": programs},
        )


def main() -> None:
    arguments = parse_arguments()
    chosen: dict[str, Node | Overlap] = {**programs(arguments.programs), **SCHEDULES}
    if arguments.only is not None:
        known: dict[str, Node | Overlap] = {**programs(len(HANDWRITTEN) + 1000), **SCHEDULES}
        chosen = {arguments.only: known[arguments.only]}
    gc.freeze()
    bury_quietly()
    tally = Tally(arguments.store)
    for name, each in chosen.items():
        if isinstance(each, Overlap):
            cases = enumerate_schedule(each, arguments.store, only=arguments.case)
        else:
            is_claimed = name not in HANDWRITTEN
            cases = enumerate_program(each, arguments.store, is_claimed=is_claimed, only=arguments.case)
        for case, violations in cases:
            tally.add(name, case, violations)
    print(tally.score(len(chosen)).line())
    sys.exit(1 if tally.replay else 0)


if __name__ == "__main__":
    main()
