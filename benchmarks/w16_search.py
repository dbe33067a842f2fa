"""W16: how long does a page of a search take beside a million runs?

Pages of fifty runs, as ``engine.list`` gives them, for filters that an index serves: the slowest of them counts. Beside
them: the longest page of a filter that none serves, which is bounded by how many runs a page looks at; and counting.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median

from keepstep import Engine, set_attributes, workflow
from keepstep.journal.field import FieldType
from keepstep.journal.search import Place, Search
from keepstep.search import read_search, runs_vocabulary

from .bench import Bench
from .searchable_runs import fill

PAGE = 50
TIMES = 15
OPEN = 200

SERVED = (
    "",
    "WorkflowType = 'fulfil' AND Status = 'completed' AND customer = 'c10' ORDER BY StartTime DESC",
    "WorkflowType = 'ship' AND Status = 'running'",
    "Status = 'timed_out'",
    "WorkflowType = 'never'",
    "Status = 'timed_out' AND region = 'r2'",
    "WorkflowType = 'refund' AND Status != 'running' AND region = 'r1'",
    "region = 'r3' AND amount > 90000",
    "region IN ('r1', 'r4') ORDER BY StartTime",
    "amount BETWEEN 500 AND 510 ORDER BY CloseTime",
    "Status = 'completed' ORDER BY amount DESC",
    "WorkflowId STARTS_WITH 'order-1234' ORDER BY WorkflowId",
    "WorkflowId = 'order-777'",
    "NOT customer = 'c10'",
    "ORDER BY CloseTime DESC",
)
SCANNED = "amount IS NULL AND Queue = 'default' AND HistoryLength > 1000"


@workflow(name="ship")
async def ship(n: int) -> None:
    set_attributes(customer=f"c{n}", region="r0", amount=0.5)


async def prepare(bench: Bench, url: str) -> None:
    """One run that is done, to be copied."""
    async with Engine(url) as engine:
        await engine.run(ship, 0)


async def measure(bench: Bench) -> None:
    runs = bench.scale.w16_runs
    with bench.database() as database:
        await prepare(bench, database.url)
        bench.say(f"filling a database with {runs:,} closed runs")
        await asyncio.to_thread(fill, database, runs)
        async with Engine(database.url, workers=False) as engine:
            for n in range(OPEN):
                await engine.start("ship", n, id=f"open-{n}", attributes={"customer": "c7", "region": "r2"})
            await _measure_pages(bench, engine)
            began = time.perf_counter()
            assert await engine.count("Status = 'completed' AND WorkflowType = 'fulfil'") > runs // 10
            bench.add("w16.count", (time.perf_counter() - began) * 1e3)
            bench.add("w16.scanned_page", max(await _walk_to_the_end(engine, SCANNED)) * 1e3)


async def _measure_pages(bench: Bench, engine: Engine) -> None:
    slowest = 0.0
    for text in SERVED:
        times = []
        for _ in range(TIMES):
            began = time.perf_counter()
            found = [run async for run in engine.list(text, PAGE)]
            times.append(time.perf_counter() - began)
        assert found or "never" in text, text
        bench.say(f"    {median(times) * 1e3:7.2f} ms for {len(found)} runs: {text or 'all'}")
        slowest = max(slowest, median(times))
    bench.add("w16.page_p50", slowest * 1e3)


async def _walk_to_the_end(engine: Engine, text: str) -> list[float]:
    """What each page took of a search that finds nothing."""
    search: Search = read_search(text, runs_vocabulary({"amount": FieldType.DOUBLE}), engine.journal.clock.now())
    times: list[float] = []
    after: Place | None = None
    while True:
        began = time.perf_counter()
        page = await engine.journal.search_runs("default", search, after=after, limit=PAGE)
        times.append(time.perf_counter() - began)
        after = page.after
        if after is None:
            return times
