"""``python -m benchmarks.load``: a server under reads, watchers and starts; at full size it writes ``docs/load.md``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import describe_machine
from benchmarks.postgres_store import PostgresStore
from benchmarks.searchable_runs import fill
from benchmarks.store import Database, SqliteStore, Store
from benchmarks.w16_search import OPEN, ship
from keepstep import Engine

from . import report
from .page import measure_page
from .reads import each_another, measure_reads, one_of_four, same_page
from .report import Line
from .server import Server, running
from .starts import measure_pace, measure_starts
from .watchers import measure_watchers

PAGE = Path("docs/load.md")
PEERS = ("dbos", "absurd")
"""They have no part in it."""


class Size(NamedTuple):
    """How much of it."""

    runs: int
    reads: int
    watchers: int
    changes: int
    starts: int
    pace_seconds: float


FULL = Size(1_000_000, 20_000, 1_000, 20, 20_000, 20)
QUICK = Size(20_000, 1_000, 200, 4, 1_000, 3)

READS_PER_SECOND_MIN = 1_000
STARTS_PER_SECOND_MIN = 1_000
START_MILLISECONDS_MAX = 50
TOLD_MILLISECONDS_MAX = 300
PAGE_MILLISECONDS_MAX = 300
PACE = 300


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes; writes no file")
    parser.add_argument("--store", choices=("SQLite", "PostgreSQL"), action="append", help="on which; writes no file")
    arguments = parser.parse_args()
    size, stores = QUICK if arguments.quick else FULL, dict[str, list[Line]]()
    facts = {name: fact for name, fact in describe_machine().items() if name not in PEERS}
    wanted = arguments.store or ["SQLite", "PostgreSQL"]
    if "SQLite" in wanted:
        stores["SQLite"] = load(SqliteStore(), size)
    if "PostgreSQL" in wanted:
        with PostgresStore() as store:
            facts["postgresql"] = store.describe()
            stores["PostgreSQL"] = load(store, size)
    if not arguments.quick and arguments.store is None:
        PAGE.write_text(report.page(size.runs, facts, stores))
        print(f"wrote {PAGE}")
    short = [f"{store}: {line.what}" for store, lines in stores.items() for line in lines if not line.holds]
    for each in short:
        print(f"falls short: {each}")
    sys.exit(1 if short and not arguments.quick else 0)


def load(store: Store, size: Size) -> list[Line]:
    """On one store; says what comes out as it does."""
    with store.database() as database:
        print(f"filling a database with {size.runs:,} runs: {database.url.partition(':')[0]}", flush=True)
        asyncio.run(_prepare(database.url))
        fill(database, size.runs)
        asyncio.run(_open(database.url))
        with running(database.url) as server:
            return asyncio.run(_load(server, database, size))


async def _prepare(url: str) -> None:
    """A run to be copied."""
    async with Engine(url) as engine:
        await engine.run(ship, 0)


async def _open(url: str) -> None:
    """Runs that wait for a worker."""
    async with Engine(url, workers=False) as engine:
        for number in range(OPEN):
            await engine.start("ship", number, id=f"open-{number}", attributes={"customer": "c7", "region": "r2"})


async def _load(server: Server, database: Database, size: Size) -> list[Line]:
    lines = list[Line]()

    def tell(line: Line) -> None:
        print(f"    {line.value:12,.2f} {line.unit}: {line.what}", flush=True)
        lines.append(line)

    same = await measure_reads(server, size.reads, same_page)
    tell(Line("the same page of 100 runs, read by 32 callers", "/core s", same.per_cpu_second, READS_PER_SECOND_MIN))
    tell(Line("… by the clock", "/s", same.per_second))
    varied = await measure_reads(server, size.reads, one_of_four)
    tell(Line("four pages of 100 runs by other filters", "/core s", varied.per_cpu_second, READS_PER_SECOND_MIN))
    alone = await measure_reads(server, size.reads // 4, each_another)
    tell(Line("pages of 100 runs, each another", "/core s", alone.per_cpu_second))
    if (seen := await measure_page(server)) is not None:
        tell(
            Line(
                "the list of runs in a browser, from its address to its rows",
                "ms",
                seen * 1e3,
                PAGE_MILLISECONDS_MAX,
                True,
            )
        )
    told = await measure_watchers(server, database.url, size.watchers, size.changes)
    who = f"{size.watchers:,} watchers told of a change"
    tell(Line(f"{who}, p50", "ms", told.p50 * 1e3))
    tell(Line(f"{who}, p99", "ms", told.p99 * 1e3, TOLD_MILLISECONDS_MAX, True))
    tell(Line(f"{who}, the last one", "ms", told.longest * 1e3))
    tell(Line("the server's memory for a watcher", "KiB", told.bytes_each / 1024))
    tell(Line("its time to tell one watcher of one change", "µs", told.cpu_seconds_each * 1e6))
    starts = await measure_starts(server, size.starts)
    tell(Line("runs started over HTTP by 64 callers", "/core s", starts.per_cpu_second, STARTS_PER_SECOND_MIN))
    tell(Line("… by the clock", "/s", starts.per_second))
    p99 = await measure_pace(server, PACE, size.pace_seconds)
    tell(Line(f"a start, of {PACE} a second, p99", "ms", p99 * 1e3, START_MILLISECONDS_MAX, True))
    return lines


if __name__ == "__main__":
    main()
