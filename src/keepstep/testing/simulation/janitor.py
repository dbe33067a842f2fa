"""Janitor: when all else is over, has closed runs removed by rules, in part archived, while processes die over it.

Half of the runs are old enough by then. Some are begun anew and stay open meanwhile, of which nothing may go. What is
there is looked at from outside, again and again. All runs are read before, so that none removed is judged less.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from keepstep.client.engine import Engine
from keepstep.journal import Conflict

from .asking import Asking
from .customers import Customer
from .language import WALK
from .record import KeepRule, Look, Start, Sweep
from .stores import MEMORY, PREFIX
from .world import World

T = TypeVar("T")

SECONDS = 3.0
"""Over which everything happens."""

LOOKS, SWEEPS_MAX, NEWCOMERS, ARCHIVING, TROUBLED_SHARE = 4, 3, 2, 0.5, 0.1
PAGE = 500


class Janitor:
    """See the module's docstring."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._record = world.record
        self._fleet = world.fleet
        self._chance = random.Random(f"{world.seed}/janitor")
        self._ask = Asking(world.fleet, self._chance).ask
        self._archive: str | None = None

    async def visit(self) -> None:
        """From the first rule to the last look."""
        with ExitStack() as stack:
            if self._chance.random() < ARCHIVING:
                self._archive = stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, dir=MEMORY))
                self._record.archive = self._archive
            await self._world.subscriber.read_to_the_end()
            await self._world.take_stock()
            newcomers = [self._newcomer(number) for number in range(NEWCOMERS)]
            await asyncio.gather(*(each.begin() for each in newcomers))
            await asyncio.gather(
                self._rule(),
                self._make_mischief(),
                *(self._look(self._chance.random() * SECONDS) for _ in range(LOOKS)),
                *(self._sweep(self._chance.random() * SECONDS) for _ in range(self._chance.randint(0, SWEEPS_MAX))),
            )
            await self._sweep(0.0)
            await self._look(0.0)
            self._read_archive()
            await asyncio.gather(*(each.keep_promises(0.1) for each in newcomers))

    def _newcomer(self, number: int) -> Customer:
        program = ["sequence", [["step", "n1", 0.0, False], ["receive_at_last"], ["step", "n2", 0.0, False]]]
        chance = random.Random(f"{self._world.seed}/newcomer {number}")
        return Customer(Start(f"newcomer-{number}", WALK, program), self._fleet, chance, self._world.trace)

    async def _rule(self) -> None:
        """Say how long runs are kept, and in some stories something else a while later."""
        chance = self._chance
        for _ in range(chance.choice((1, 1, 2))):
            now = self._fleet.now()
            closed = sorted(each.run.closed_at for each in self._record.runs.values() if each.run.closed_at)
            keep = now - chance.choice(closed[len(closed) // 4 : -len(closed) // 4])
            rule = KeepRule(chance.choice(("all", "completed", "completed", "failed", "cancelled")), keep, now)
            self._record.rules.append(rule)

            async def tell(engine: Engine, rule: KeepRule = rule) -> None:
                await _again_if_crossed(
                    lambda: engine.retention.set(rule.status, rule.keep / 1e6, archive=self._archive)
                )

            await self._ask(tell)
            rule.told = self._fleet.now()
            self._world.trace(f"the janitor rules: {rule}")
            await asyncio.sleep(chance.random() * SECONDS)

    async def _sweep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

        async def sweep(engine: Engine) -> None:
            asked = self._fleet.now()
            swept = await _again_if_crossed(engine.retention.sweep)
            self._record.sweeps.append(Sweep(asked, self._fleet.now(), swept.left))

        await self._ask(sweep)

    async def _look(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        asked = self._fleet.now()
        journal = self._world.auditor.engine.journal
        there: set[str] = set()
        before: tuple[int, str] | None = None
        while True:
            page = await journal.list_runs("default", before=before, limit=PAGE)
            there.update(each.run_id for each in page)
            if len(page) < PAGE:
                break
            before = (page[-1].started_at, page[-1].run_id)
        self._record.looks.append(Look(asked, self._fleet.now(), frozenset(there)))

    async def _make_mischief(self) -> None:
        """A store fails now and then, and somebody dies."""
        chance, fleet = self._chance, self._fleet
        for process in fleet.alive():
            if chance.random() < 0.5:
                fleet.trouble(process, TROUBLED_SHARE, chance)
        await asyncio.sleep(chance.random() * SECONDS)
        if chance.random() < 0.7:
            await fleet.restart(chance.randrange(len(fleet.places)))
        await asyncio.sleep(SECONDS / 2)
        for process in fleet.alive():
            fleet.trouble(process, 0.0, chance)

    def _read_archive(self) -> None:
        """As anybody would who has nothing but the files."""
        if self._archive is not None:
            self._record.archived = []
            for path in sorted(Path(self._archive).glob("*.jsonl.gz")):
                self._record.archived += [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


async def _again_if_crossed(work: Callable[[], Awaitable[T]]) -> T:
    """Workers note what they have removed where the rules are, and whoever changes these may have to begin anew."""
    while True:
        try:
            return await work()
        except Conflict:
            await asyncio.sleep(0.05)
