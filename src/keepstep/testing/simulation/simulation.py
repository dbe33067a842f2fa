"""One simulation: customers, mischief and an operator around a fleet of engines, under virtual time, from one seed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .clerk import Clerk
from .customers import ARRIVAL_SECONDS, Customer
from .faults import Mischief, draw_faults_of_schedules
from .features import UNSHORTENED, Feature, draw_features
from .foreman import Foreman
from .janitor import Janitor
from .language import FITTING
from .operator import Operator
from .people import People
from .planners import draw_planners
from .world import World, digest_of, play

RUNS_MIN, RUNS_MAX = 20, 26
WORKERS_MIN, WORKERS_MAX = 2, 3

MISCHIEF_SECONDS = ARRIVAL_SECONDS + 4.0


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one seed."""

    seed: int
    store: str
    violations: list[str]
    digest: str
    """Over all histories and all that happened outside: the same seed gives the same one."""
    runs: int
    workers: int
    events: int
    executions: int
    faults: Counter[str]
    seconds: float
    """Virtual time."""


def simulate(seed: int, store: str = "memory", *, write: Callable[[str], None] | None = None) -> Report:
    """Run the simulation of one seed on a store of ``stores.STORES`` and judge it.

    ``write`` gets the trace, line by line.
    """
    chance = random.Random(f"{seed}/world")
    workers, runs = chance.randint(WORKERS_MIN, WORKERS_MAX), chance.randint(RUNS_MIN, RUNS_MAX)
    features = draw_features(f"{seed}")
    if features - UNSHORTENED:  # so that a story takes no longer with them than without
        runs = RUNS_MIN

    async def plot(world: World) -> None:
        fleet, trace = world.fleet, world.trace
        fleet.version = chance.choice(FITTING)
        world.record.features = features
        await asyncio.gather(*(fleet.fill(place) for place in range(workers)))
        customers = [Customer.draw(number, fleet, world.seed, trace) for number in range(runs)]
        calendar = random.Random(f"{seed}/schedules")
        planners = draw_planners(fleet, world.seed, calendar, trace)
        more = draw_faults_of_schedules(calendar, MISCHIEF_SECONDS) if planners else []
        mischief = Mischief(fleet, world.seed, MISCHIEF_SECONDS, trace, more)
        operator = Operator(fleet, trace)

        async def mischief_and_its_end() -> None:
            await mischief.run()
            await operator.deploy_newest()  # customers wait for runs that older code could not go on with

        visits = [each.visit() for each in customers] + [each.visit() for each in planners]
        if Feature.TURNS in features:
            visits.append(Foreman(fleet, world.seed, trace).visit())
        if Feature.BULKS in features:
            visits.append(Clerk(fleet, world.seed, trace).visit())
        people = People(fleet, world.seed) if Feature.PEOPLE in features else None
        answering = [asyncio.create_task(people.run())] if people else []
        await asyncio.gather(mischief_and_its_end(), *visits)
        trace("the operator takes over")
        await operator.deploy_newest()
        await asyncio.gather(operator.look_after_runs(), *(each.wait_for_promises() for each in customers))
        await asyncio.gather(*(each.hear_the_end() for each in customers))
        for task in answering:
            task.cancel()
        if Feature.RETENTION in features:
            await operator.deploy_newest()
            await Janitor(world).visit()
            await operator.look_after_runs()

    record, violations = play(plot, f"{seed}", store, workers, write)
    return Report(
        seed=seed,
        store=store,
        violations=violations,
        digest=digest_of(record),
        runs=len(record.starts),
        workers=workers,
        events=sum(len(each.events) for each in record.runs.values()),
        executions=len(record.executions),
        faults=record.faults,
        seconds=record.seconds,
    )
