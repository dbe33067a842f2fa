"""``python -m benchmarks``: runs the workloads and prints the table; a full run writes ``docs/benchmarks.md``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from . import (
    dbos_peer,
    w1_many_runs,
    w2_one_run,
    w3_signals,
    w4_sleepers,
    w5_takeover,
    w6_replay,
    w7_orders,
    w8_flat,
)
from .bench import Bench
from .machine import describe_machine
from .report import markdown, plain_text
from .row import ROWS
from .scale import FULL, QUICK

REPORT = Path("docs/benchmarks.md")

WORKLOADS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "W1": w1_many_runs.measure,
    "W2": w2_one_run.measure,
    "W3": w3_signals.measure,
    "W4": w4_sleepers.measure,
    "W5": w5_takeover.measure,
    "W6": w6_replay.measure,
    "W7": w7_orders.measure,
    "W8": w8_flat.measure,
    "DBOS": dbos_peer.measure,
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one trial each; writes no file")
    parser.add_argument("--only", default=",".join(WORKLOADS), help="which, such as W1,W3,DBOS; writes no file")
    parser.add_argument("--trials", type=int, help="whole repetitions, of which the table shows the median")
    arguments = parser.parse_args()
    unknown = set(arguments.only.split(",")) - set(WORKLOADS)
    if unknown:
        parser.error(f"there is no workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    return arguments


async def run(bench: Bench, names: list[str]) -> None:
    for name in names:
        if name == "DBOS" and not dbos_peer.is_installed():
            bench.say("DBOS is not installed (make bench does it); its column stays empty")
            continue
        bench.say(name)
        await WORKLOADS[name](bench)


def main() -> None:
    arguments = parse_arguments()
    names = arguments.only.split(",")
    scale = QUICK if arguments.quick else FULL
    bench = Bench(replace(scale, trials=arguments.trials or scale.trials))
    facts = describe_machine()
    asyncio.run(run(bench, names))
    print(plain_text(bench.results, bench.scale))
    if not arguments.quick and names == list(WORKLOADS):
        REPORT.write_text(markdown(bench.results, bench.scale, facts))
        bench.say(f"wrote {REPORT}")
    short = [row for row in ROWS if bench.results.shortfall(row)]
    for row in short:
        print(f"falls short: {row.workload}, {row.text.format(scale=bench.scale)}: {bench.results.shortfall(row)}")
    sys.exit(1 if short and not arguments.quick else 0)


if __name__ == "__main__":
    main()
