"""W12: what do a million steps leave behind beside their events?

Steps are executed by runs of many steps, some at a time, and all of them complete. *Dead* is the share of all table
bytes that hold deleted rows or nothing (``pgstattuple``), as autovacuum with its defaults has left it, nothing vacuumed
by hand. *Passing* tables are those whose rows do not grow with the steps (leases, tasks, timers, messages): they and
their indexes must not grow either.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from keepstep import Engine

from . import shop
from .bench import Bench
from .postgres_store import PostgresDatabase, PostgresStore

RUNS_AT_ONCE = 200
STEPS_OF_A_RUN = 100

PAGE_BYTES = 8192

_TABLES = """
SELECT c.oid::regclass, pg_total_relation_size(c.oid), s.tuple_len, s.dead_tuple_len + s.free_space, s.table_len
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL pgstattuple(c.oid) s
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""


@dataclass(frozen=True)
class Table:
    """One table as it lies on disk. ``total_bytes`` counts its indexes too."""

    name: str
    total_bytes: int
    live_bytes: int
    dead_bytes: int
    heap_bytes: int


def read_tables(database: PostgresDatabase) -> list[Table]:
    """The largest first."""
    database.query("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    rows = [line.split("|") for line in database.query(_TABLES).splitlines()]
    tables = [Table(name, *map(int, sizes)) for name, *sizes in rows]
    return sorted(tables, key=lambda table: -table.total_bytes)


async def execute(engine: Engine, runs: range) -> None:
    waiting = iter(runs)

    async def one_after_another() -> None:
        for order in waiting:
            await engine.run(shop.many_steps, order, STEPS_OF_A_RUN)

    await asyncio.gather(*(one_after_another() for _ in range(RUNS_AT_ONCE)))


async def measure(bench: Bench) -> None:
    store = bench.store
    assert isinstance(store, PostgresStore)
    runs = bench.scale.w12_steps // STEPS_OF_A_RUN
    with store.postgres_database() as database:
        async with Engine(database.url) as engine:
            await execute(engine, range(runs // 10))
            early = await asyncio.to_thread(read_tables, database)
            await execute(engine, range(runs // 10, runs))
            late = await asyncio.to_thread(read_tables, database)
    report(bench, early, late)


def report(bench: Bench, early: list[Table], late: list[Table]) -> None:
    heap = sum(table.heap_bytes for table in late)
    bench.add("w12.bytes", sum(table.total_bytes for table in late) / bench.scale.w12_steps)
    bench.add("w12.dead", 100 * sum(table.dead_bytes for table in late) / heap)
    before = {table.name: table for table in early}
    passing = [table for table in late if not _grows(before.get(table.name), table)]
    size = sum(table.total_bytes for table in passing)
    bench.add("w12.passing_growth", size / sum(before[table.name].total_bytes for table in passing))
    bench.note("w12.bytes", f"the largest tables, with their indexes: {_sizes(late)}")
    bench.note("w12.passing_growth", f"{size / 2**20:.1f} MiB; the largest: {_sizes(passing)}")


def _grows(before: Table | None, after: Table) -> bool:
    """Whether its rows are kept."""
    return before is None or after.live_bytes > 2 * before.live_bytes + PAGE_BYTES


def _sizes(tables: list[Table]) -> str:
    return ", ".join(f"{table.name} {table.total_bytes / 2**20:.1f} MiB" for table in tables[:4])
