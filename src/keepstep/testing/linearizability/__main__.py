"""``python -m keepstep.testing.linearizability``: record histories, judge them, and say so in the last line.

Exit code 0: every history has an order. 1: one has none, or it could not be told; the smallest part that shows it is
printed, and the command that plays that history again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from keepstep.testing.scoreboard import Score

from . import processes, simulated
from .checker import find_order
from .model import ClientModel
from .operation import Operation
from .plants import PLANTS, planted
from .recording import Line, by_subject, operations_of, read_lines, save_history
from .smallest import smallest_wrong
from .telling import tell

STORES = ("memory", "sqlite")

MADE_SMALL_MAX = 10
"""Of more wrong histories than these the smallest part is not looked for, which takes longer than to play one."""


class Judge:
    """Judges histories and keeps count."""

    def __init__(self) -> None:
        self.calls = 0
        self.unanswered = 0
        self.steps = 0
        self.undecided: list[int] = []
        self.wrong: list[tuple[int, str, list[Operation]]] = []
        """Seed, workflow id and the smallest wrong part."""

    def judge(self, seed: int, lines: list[Line]) -> bool:
        """True if every workflow id's history has an order."""
        is_right = True
        for subject, history in by_subject(operations_of(lines)).items():
            self.calls += len(history)
            self.unanswered += sum(1 for each in history if each.answer is None)
            verdict = find_order(ClientModel(), history)
            self.steps += verdict.steps
            if verdict.is_linearizable is None:
                self.undecided.append(seed)
            elif not verdict.is_linearizable:
                small = smallest_wrong(history) if len(self.wrong) < MADE_SMALL_MAX else history
                self.wrong.append((seed, subject, small))
            is_right &= verdict.is_linearizable is True
        return is_right

    def losing_seeds(self) -> list[int]:
        """Seeds without an order, those with the smallest proof first, then those that could not be told."""
        shortest = sorted(self.wrong, key=lambda each: len(each[2]))
        return list(dict.fromkeys([*(seed for seed, _, _ in shortest), *self.undecided]))

    def report(self) -> None:
        """Print the smallest wrong history of all."""
        if self.wrong:
            seed, subject, history = min(self.wrong, key=lambda each: len(each[2]))
            print(f"seed {seed}: what was answered for {subject} fits no order of these calls:\n\n{tell(history)}\n")
        if self.undecided:
            print(f"seeds {self.undecided}: the search for an order was given up")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keepstep.testing.linearizability", description=__doc__)
    parser.add_argument("--histories", type=int, default=100, help="how many seeds are played (default 100)")
    parser.add_argument("--seed", type=int, default=1, help="the first of them (default 1)")
    parser.add_argument("--store", choices=STORES, default="memory")
    parser.add_argument("--plant", choices=PLANTS, help="play with this bug in the code; it must be found")
    parser.add_argument("--plants", action="store_true", help="list the bugs that can be planted")
    parser.add_argument("--check", type=Path, metavar="FILE", help="judge a history that was kept, instead of playing")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the histories that have no order")
    return parser.parse_args()


def _play(seed: int, store: str, plant: str | None) -> list[Line]:
    if store == "memory":
        with planted(plant):
            return simulated.record_history(seed)
    with tempfile.TemporaryDirectory(prefix="keepstep-") as folder:
        return processes.record_history(seed, Path(folder), plant)


def _command(chosen: argparse.Namespace, seed: int) -> str:
    plant = f" --plant {chosen.plant}" if chosen.plant else ""
    return (
        f"python -m keepstep.testing.linearizability --histories 1 --seed {seed} --store {chosen.store}{plant}"
        if chosen.check is None
        else f"python -m keepstep.testing.linearizability --check {chosen.check}"
    )


def main() -> int:
    """See the module's docstring."""
    chosen = _parse()
    if chosen.plants:
        for name, plant in PLANTS.items():
            print(f"{name:18} {plant.__doc__}")
        return 0
    logging.disable(logging.WARNING)  # workers tell of every trouble that is made for them
    judge, began = Judge(), time.monotonic()
    seeds = range(chosen.seed, chosen.seed + chosen.histories) if chosen.check is None else range(1)
    for seed in seeds:
        lines = read_lines(chosen.check) if chosen.check else _play(seed, chosen.store, chosen.plant)
        if not judge.judge(seed, lines) and chosen.keep:
            chosen.keep.mkdir(parents=True, exist_ok=True)
            save_history(chosen.keep / f"{chosen.store}-{seed}.jsonl", lines)
    judge.report()
    losing = judge.losing_seeds()
    for seed in losing[:1]:
        print(f"again: {_command(chosen, seed)}")
    score = Score(
        part=f"linearizability on {chosen.store}",
        tried=len(seeds),
        lost=len(losing),
        seeds=(seeds[0], seeds[-1]) if seeds and chosen.check is None else None,
        unit="histories",
        seconds=time.monotonic() - began,
        replay=[_command(chosen, seed) for seed in losing],
        counts={"calls": judge.calls, "calls of unknown outcome": judge.unanswered, "orders tried": judge.steps},
    )
    print(score.line())
    return 1 if losing else 0


if __name__ == "__main__":
    sys.exit(main())
