"""Engine: a whole engine with its worker on a failing disk. The workflow waits for it, and then ends as it should.

Every call of its life fails, once and for longer than a lease. No process dies, so each step runs exactly once: the
engine keeps a result that it cannot write down, and does not do the work again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from functools import partial

from keepstep import Engine, Retry, sleep, step, workflow
from keepstep.testing.simulation.process import Unwatched
from keepstep.testing.virtual import VirtualClock, VirtualLoop, run
from keepstep.worker.surroundings import Surroundings

from .faults import (
    CHECKPOINT_PAGES,
    LIFE_SECONDS_MAX,
    SEED,
    TELL_EVERY,
    Fault,
    PlannedTrouble,
    enumerate_faults,
    listening,
)
from .inspection import Finding, Kind, enter
from .life import folder_in_memory
from .report import FINDINGS_MAX, PowerReport
from .store import PROCESS, Rig
from .vfs import FileSystem

ITEMS = 3
NAMES = ("parcel-1", "parcel-2")
WHILE_SECONDS = 25.0
"""Longer than a lease."""

_done: Counter[int] = Counter()
"""How often each step was done in the life that is being lived."""


@step(name="keepstep.power.weigh", retry=Retry(max_attempts=1))
async def weigh(item: int) -> int:
    _done[item] += 1
    return item * 10


@workflow(name="keepstep.power.pack", queue="power")
async def pack_items(items: int) -> int:
    weights = await asyncio.gather(*[weigh(item) for item in range(items)])
    await sleep(5)
    return sum(weights) + await weigh(items)


class EngineLife:
    """Two runs of one engine, from the making of the file to the closing of the store."""

    def __init__(self, fault: Fault | None) -> None:
        self.trouble = PlannedTrouble(fault, WHILE_SECONDS)
        self.results: list[int] = []
        self.error: BaseException | None = None
        self.histories: list[int] = []
        _done.clear()
        with folder_in_memory() as folder, listening() as words:
            self._system = FileSystem(folder, seed=f"engine.{fault}", trouble=self.trouble)
            self._rig = Rig(self._system, checkpoint_pages=CHECKPOINT_PAGES)
            try:
                run(lambda: asyncio.wait_for(self._live(), LIFE_SECONDS_MAX))
            except Exception as error:
                self.error = error
            self._rig.unplug()
            self.is_reported = words.count > 0 or self._rig.has_told()
        self.done = Counter(_done)
        self.failures = self._rig.failures()

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self._rig.clock = VirtualClock(loop)
        journal = await self._rig.open_patiently()
        surroundings = Surroundings(self._rig.next_id, random.Random(SEED), lambda: PROCESS, Unwatched)
        async with Engine(journal=journal, queues=("power",), serve=[pack_items], surroundings=surroundings) as engine:
            runs = [await engine.start(pack_items, ITEMS, id=name) for name in NAMES]
            self.results = [await self._rig.read_patiently(one.result) for one in runs]
            found = [await self._rig.read_patiently(partial(journal.find_run, "default", name)) for name in NAMES]
            self.histories = [one.last_seq for one in found if one is not None]
        await journal.close()


def misbehaviour(life: EngineLife, calm: EngineLife) -> str | None:
    """What an engine on a failing disk did wrong, in words."""
    if life.error is not None:
        return f"it ended with {type(life.error).__name__}: {life.error}"
    if (life.results, life.histories) != (calm.results, calm.histories):
        return f"results {life.results} and events {life.histories} instead of {calm.results} and {calm.histories}"
    if life.done != calm.done:
        return f"steps were done {sorted(life.done.items())} times instead of {sorted(calm.done.items())}"
    if life.failures and not life.is_reported:
        return "statements failed, and nothing was reported"
    return None


async def fail_engine(report: PowerReport, tell: Callable[[PowerReport], None], *, every: int = 1) -> None:
    """The whole enumeration, or every n-th fault of it."""
    calm = await asyncio.to_thread(EngineLife, None)
    if calm.error is not None:
        raise calm.error
    for number, fault in enumerate(list(enumerate_faults(calm.trouble.calls))[::every], 1):
        wrong = misbehaviour(await asyncio.to_thread(EngineLife, fault), calm)
        report.faults += 1
        if wrong is not None:
            enter(report, Finding(Kind.MISBEHAVED, wrong), f"--engine-fault {fault}")
        if number % TELL_EVERY == 0:
            tell(report)
        if report.findings >= FINDINGS_MAX:
            return
