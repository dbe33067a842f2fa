"""``python -m benchmarks``: runs the workloads and prints the tables; a full run writes ``docs/benchmarks.md``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from . import (
    peer,
    pgbench,
    w1_many_runs,
    w2_one_run,
    w3_signals,
    w4_sleepers,
    w5_takeover,
    w6_replay,
    w7_orders,
    w8_flat,
    w9_pickup,
    w10_idle,
    w11_processes,
    w12_bloat,
    w13_check,
    w14_queues,
    w15_schedules,
    w16_search,
)
from .absurd_peer import ABSURD
from .bench import Bench
from .dbos_peer import DBOS
from .machine import describe_machine
from .merge import merge
from .postgres_store import PostgresStore
from .report import Part, markdown, plain_text
from .row import POSTGRES_ROWS, SQLITE_ROWS, Results, System
from .scale import FULL, FULL_POSTGRES, QUICK, QUICK_POSTGRES, Scale

REPORT = Path("docs/benchmarks.md")

Workload = Callable[[Bench], Awaitable[None]]


async def _pgbench(bench: Bench) -> None:
    await asyncio.to_thread(pgbench.measure, bench)


async def _idle(bench: Bench) -> None:
    await asyncio.to_thread(w10_idle.measure_all, bench, [DBOS, ABSURD] if peer.is_installed() else [])


EVERYWHERE: dict[str, Workload] = {
    "W1": w1_many_runs.measure,
    "W2": w2_one_run.measure,
    "W3": w3_signals.measure,
    "W4": w4_sleepers.measure,
    "W5": w5_takeover.measure,
    "W6": w6_replay.measure,
    "W13": w13_check.measure,
    "W14": w14_queues.measure,
    "W15": w15_schedules.measure,
    "W16": w16_search.measure,
}
WORKLOADS: dict[str, dict[str, Workload]] = {
    "SQLite": {**EVERYWHERE, "W7": w7_orders.measure, "W8": w8_flat.measure, "DBOS": DBOS.measure},
    "PostgreSQL": {
        "raw": _pgbench,
        **EVERYWHERE,
        "W9": w9_pickup.measure,
        "W10": _idle,
        "W11": w11_processes.measure,
        "W12": w12_bloat.measure,
        "DBOS": DBOS.measure,
        "Absurd": ABSURD.measure,
    },
}
NAMES = list(dict.fromkeys(name for workloads in WORKLOADS.values() for name in workloads))
PEERS = ("DBOS", "Absurd")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one trial each; writes no file")
    parser.add_argument("--store", choices=WORKLOADS, action="append", help="on which; writes no file without --merge")
    parser.add_argument(
        "--only", default=",".join(NAMES), help="which, such as W4, or W4,DBOS; writes no file without --merge"
    )
    parser.add_argument("--trials", type=int, help="whole repetitions, of which the table shows the median")
    parser.add_argument("--merge", action="store_true", help=f"put the measured rows into {REPORT}, marked as alone")
    arguments = parser.parse_args()
    if arguments.merge and arguments.quick:
        parser.error("--merge takes rows at full size, not --quick")
    unknown = set(arguments.only.split(",")) - set(NAMES)
    if unknown:
        parser.error(f"there is no workload {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return arguments


async def run(bench: Bench, workloads: dict[str, Workload], names: list[str]) -> None:
    for name, workload in workloads.items():
        if name not in names:
            continue
        if name in PEERS and not peer.is_installed():
            bench.say(f"{name} is not installed (make bench does it); its column stays empty")
            continue
        bench.say(name)
        await workload(bench)


def main() -> None:
    arguments = parse_arguments()
    names = arguments.only.split(",")
    only = frozenset(names) - set(PEERS) if names != NAMES else frozenset()
    stores = arguments.store or list(WORKLOADS)
    facts, results, parts = describe_machine(), Results(), parts_of(arguments)
    if "SQLite" in stores:
        bench = Bench(parts[0].scale, results=results, only=only)
        asyncio.run(run(bench, WORKLOADS["SQLite"], names))
    if "PostgreSQL" in stores:
        with PostgresStore() as store:
            facts["postgresql"] = store.describe()
            bench = Bench(parts[1].scale, store, results, only)
            asyncio.run(run(bench, WORKLOADS["PostgreSQL"], names))
    print(plain_text(results, [part for part in parts if part.title in stores]))
    if not arguments.quick and names == NAMES and stores == list(WORKLOADS):
        REPORT.write_text(markdown(results, parts, facts))
        print(f"wrote {REPORT}")
    elif arguments.merge:
        REPORT.write_text(merge(REPORT.read_text(), results, parts, facts["commit"], facts["date"].split()[0]))
        print(f"put the rows into {REPORT}")
    sys.exit(1 if tell_shortfalls(results, parts) and not arguments.quick else 0)


def parts_of(arguments: argparse.Namespace) -> list[Part]:
    """A table for each store."""

    def sized(scale: Scale) -> Scale:
        return replace(scale, trials=arguments.trials or scale.trials)

    sqlite, postgres = (QUICK, QUICK_POSTGRES) if arguments.quick else (FULL, FULL_POSTGRES)
    return [
        Part("SQLite", SQLITE_ROWS, (System.DBOS,), sized(sqlite)),
        Part("PostgreSQL", POSTGRES_ROWS, (System.DBOS, System.ABSURD), sized(postgres)),
    ]


def tell_shortfalls(results: Results, parts: list[Part]) -> bool:
    """Print each floor that does not hold; whether there is one."""
    short = [(part, row) for part in parts for row in part.rows if results.shortfall(row)]
    for part, row in short:
        text = row.text.format(scale=part.scale)
        print(f"falls short: {part.title}, {row.workload}, {text}: {results.shortfall(row)}")
    return bool(short)


if __name__ == "__main__":
    main()
