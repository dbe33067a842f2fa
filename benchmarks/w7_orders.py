"""W7: all CDNOW orders through a six-step workflow by two worker processes that are killed again and again.

Clean means: every order's run completed with the result that its own steps' results lead to, and the ledgers that the
steps wrote outside of the journal name every step of every order. A step in flight at a kill may be named twice.

    python -m benchmarks.w7_orders DATABASE LEDGER     one worker, which runs until it is killed
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

from keepstep import Engine

from . import shop
from .bench import Bench
from .cdnow import read_orders
from .child import Child, say
from .store import Database

STARTS_AT_ONCE = 500
READS_AT_ONCE = 200
WORKERS = 2
SEED = 1997


async def be_worker(url: str, ledger: Path) -> None:
    shop.watch.ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with Engine(url):
        say(ready=True)
        await asyncio.Event().wait()


class Fleet:
    """Worker processes on one database, each with a ledger of its own; a killed one is replaced at once."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.spawned = 0
        self.workers = [self._spawn() for _ in range(WORKERS)]
        for worker in self.workers:
            worker.hear()

    def _spawn(self) -> Child:
        self.spawned += 1
        ledger = self.database.folder / f"ledger-{self.spawned}.txt"
        return Child.of_module("w7_orders", self.database.url, ledger)

    def kill(self, which: int) -> None:
        """Kill one in the middle of its work."""
        self.workers[which].kill()
        self.workers[which] = self._spawn()

    def end(self) -> None:
        for worker in self.workers:
            worker.kill()

    def ledger_lines(self) -> Counter[str]:
        """Every step that says of itself that it was done, and how often."""
        lines: Counter[str] = Counter()
        for ledger in self.database.folder.glob("ledger-*.txt"):
            lines.update(ledger.read_text().splitlines())
        return lines


async def start_all(engine: Engine, orders: list[shop.CdnowOrder]) -> None:
    for first in range(0, len(orders), STARTS_AT_ONCE):
        some = orders[first : first + STARTS_AT_ONCE]
        await asyncio.gather(*(engine.start(shop.fulfil_cdnow, each, id=f"order-{each.number}") for each in some))


async def kill_along(engine: Engine, fleet: Fleet, orders: int, kills: int) -> None:
    """Kill a worker each time another share of the orders is done, until all are."""
    chance = random.Random(SEED)
    killed = 0
    while (done := await engine.count("Status = 'completed'")) < orders:
        if killed < kills and done >= orders * (killed + 1) / (kills + 2):
            await asyncio.to_thread(fleet.kill, chance.randrange(WORKERS))
            killed += 1
        await asyncio.sleep(0.05)
    assert killed == kills, f"only {killed} of {kills} kills hit while orders were open"


async def count_wrong(engine: Engine, orders: list[shop.CdnowOrder]) -> int:
    """Orders whose recorded result is not what their steps lead to."""
    wrong = 0
    for first in range(0, len(orders), READS_AT_ONCE):
        some = orders[first : first + READS_AT_ONCE]
        results = await asyncio.gather(*(engine.get(f"order-{each.number}").result(timeout=10) for each in some))
        wrong += sum(shop.expected_result(each) != result for each, result in zip(some, results, strict=True))
    return wrong


def count_misdone(orders: list[shop.CdnowOrder], lines: Counter[str], kills: int) -> int:
    """Orders with a step that no ledger names, or that was done more often than kills can explain."""
    names = shop.FULFILMENT
    return sum(not all(1 <= lines[f"{each.number} {name}"] <= 1 + kills for name in names) for each in orders)


async def measure(bench: Bench) -> None:
    orders, source = read_orders(bench.scale.w7_orders)
    bench.note("w7.orders", f"{len(orders):,} orders from {source}")
    for _ in range(bench.scale.trials):
        with bench.database() as database:
            fleet = Fleet(database)
            try:
                await fulfil_all(bench, database, fleet, orders)
            finally:
                fleet.end()


async def fulfil_all(bench: Bench, database: Database, fleet: Fleet, orders: list[shop.CdnowOrder]) -> None:
    """One trial: start them, kill along, and judge the outcome when all is quiet."""
    kills = bench.scale.w7_kills
    async with Engine(database.url, workers=False) as engine:
        began = time.perf_counter()
        starting = asyncio.create_task(start_all(engine, orders))
        await kill_along(engine, fleet, len(orders), kills)
        seconds = time.perf_counter() - began
        await starting
        fleet.end()
        lines = fleet.ledger_lines()
        bench.add("w7.orders", len(orders) / seconds)
        bench.add("w7.kills", kills)
        bench.add("w7.unclean", await count_wrong(engine, orders) + count_misdone(orders, lines, kills))
        repeated = sum(lines.values()) - len(lines)
        bench.note("w7.kills", f"{repeated} steps in flight at a kill were done again")


if __name__ == "__main__":
    asyncio.run(be_worker(sys.argv[1], Path(sys.argv[2])))
