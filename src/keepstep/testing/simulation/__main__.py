"""``python -m keepstep.testing.simulation``: runs seeds, prints what went wrong and how to see it again."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from keepstep.testing.scoreboard import Score
from keepstep.testing.scoreboard.machine import describe_commit

from .plants import PLANTS
from .runs import Runs
from .simulation import Report
from .stores import STORES
from .world import bury_quietly

PROGRESS_SECONDS = 10.0
NEEDED = {"postgres": ("psycopg", "greenlet")}
"""What a store is simulated with, beside Keepstep itself."""

SHOWN_MAX = 5
"""Violations printed for one seed."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keepstep.testing.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many, beginning with --seed")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--store", choices=sorted(STORES), default="memory")
    parser.add_argument("--trace", action="store_true", help="tell the story of each seed")
    parser.add_argument("--hash", action="store_true", help="print the digest of each seed's story")
    parser.add_argument("--plant", choices=sorted(PLANTS), metavar="NAME", help="put a known bug into the engine")
    parser.add_argument("--plants", action="store_true", help="list the known bugs")
    parser.add_argument("--jobs", type=int, default=1, help="processes to simulate in")
    parser.add_argument("--until-found", action="store_true", help="stop at the first seed that fails")
    arguments = parser.parse_args()
    if arguments.seeds < 1 or arguments.jobs < 1:
        parser.error("--seeds and --jobs are at least 1")
    missing = [name for name in NEEDED.get(arguments.store, ()) if find_spec(name) is None]
    if missing:
        parser.error(
            f"--store {arguments.store} needs {' and '.join(missing)}: pip install 'keepstep[postgres,torture]'"
        )
    return arguments


def replay_command(report: Report, plant: str | None) -> str:
    """What shows a seed's story again."""
    extra = f" --plant {plant}" if plant else ""
    return f"python -m keepstep.testing.simulation --seeds 1 --seed {report.seed} --store {report.store} --trace{extra}"


class Tally:
    """What all seeds so far came to."""

    def __init__(self, store: str, plant: str | None) -> None:
        self._store = store
        self._plant = plant
        self._began = self._told = time.monotonic()
        self._commit = describe_commit(Path(__file__).parent)  # another one may be checked out before the end
        self.tried = 0
        self.failed: list[Report] = []
        self.counts: Counter[str] = Counter()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def add(self, report: Report) -> None:
        self.tried += 1
        self.counts.update({"runs": report.runs, "events": report.events, "steps executed": report.executions})
        self.counts.update({"faults": report.faults.total()})
        if report.violations:
            self.failed.append(report)
            print(f"seed {report.seed} FAILED:")
            for each in report.violations[:SHOWN_MAX]:
                print(f"  {each}")
            print(f"  see it again: {replay_command(report, self._plant)}", flush=True)
        if time.monotonic() - self._told > PROGRESS_SECONDS:
            self._told = time.monotonic()
            rate = self.tried / self.seconds
            print(f"{self.tried:,} seeds, {len(self.failed)} failed, {rate:.1f} a second", flush=True)

    def score(self, first: int) -> Score:
        return Score(
            part=f"simulation on {self._store}",
            tried=self.tried,
            lost=len(self.failed),
            seeds=(first, first + self.tried - 1),
            unit="simulations",
            seconds=self.seconds,
            replay=[replay_command(each, self._plant) for each in self.failed],
            counts=dict(self.counts),
            commit=self._commit,
        )


def main() -> None:
    arguments = parse_arguments()
    if arguments.plants:
        for name, plant in PLANTS.items():
            print(f"{name:18} {(plant.__doc__ or '').strip()}")
        return
    gc.freeze()
    bury_quietly()
    tally = Tally(arguments.store, arguments.plant)
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    with closing(Runs(arguments.store, arguments.plant, arguments.trace).many(seeds, arguments.jobs)) as reports:
        for report in reports:
            tally.add(report)
            if arguments.trace or arguments.hash:
                print(f"seed {report.seed}: {report.digest} {dict(report.faults)}")
            if arguments.until_found and report.violations:
                break
    print(tally.score(arguments.seed).line())
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
