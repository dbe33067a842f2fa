"""``python -m keepstep.testing.chaos.poison``: rounds of poison, and a score. See the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from keepstep.testing.scoreboard import Score

from .plants import PLANTS
from .round import BLOCKS_OF_A_KIND, play_round
from .verdict import Round, judge_ratios, wants_another_round


def main(arguments: list[str] | None = None) -> int:
    """Play rounds until the percentiles can be believed. 1 if anything was found."""
    options = _parse(arguments)
    if options.plants:
        for name, plant in PLANTS.items():
            print(f"{name:14} {plant.__doc__}")
        return 0
    if options.plant:
        PLANTS[options.plant]()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="keepstep-poison-"))
    rounds: list[Round] = []
    while wants_another_round([each.ratio for each in rounds], options.rounds):
        seed = options.seed + len(rounds)
        rounds.append(play_round(seed, folder / f"round-{seed}", options.blocks))
        _tell(rounds[-1], folder)
    slowed = judge_ratios([each.ratio for each in rounds])
    for finding in slowed:
        print(f"LOST: {finding}")
    score = score_of(rounds, slowed)
    print(score.line())
    return 1 if score.lost else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keepstep.testing.chaos.poison", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="at least (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the first round (default: %(default)s)")
    parser.add_argument(
        "--blocks",
        type=int,
        default=BLOCKS_OF_A_KIND,
        metavar="N",
        help="of each kind in a round (default: %(default)s)",
    )
    parser.add_argument("--folder", type=Path, help="where rounds leave what they found (default: a temporary one)")
    parser.add_argument("--plant", choices=PLANTS, metavar="NAME", help="break the engine in this way first")
    parser.add_argument("--plants", action="store_true", help="list the ways to break it")
    return parser.parse_args(arguments)


def _tell(played: Round, folder: Path) -> None:
    print(
        f"round {played.seed}: {played.poisoned} poisoned runs beside {played.errands} errands; their p99 was "
        f"{played.poisoned_p99 * 1000:.1f} ms, and {played.healthy_p99 * 1000:.1f} ms without poison; "
        f"{played.deaths} workers died of code, for {played.gap_seconds:.1f} s no errand ended; {played.seconds:.1f} s"
    )
    for finding in played.findings:
        print(f"  LOST: {finding}")
    if played.findings:
        print(f"  everything is kept in {folder / f'round-{played.seed}'}")
    sys.stdout.flush()


def score_of(rounds: list[Round], slowed: list[str]) -> Score:
    """What the scoreboard wants to know."""
    lost = [each for each in rounds if each.findings]
    return Score(
        part="poison",
        tried=sum(each.poisoned for each in rounds),
        lost=sum(len(each.findings) for each in rounds) + len(slowed),
        seeds=(rounds[0].seed, rounds[-1].seed),
        unit="poisoned runs",
        seconds=sum(each.seconds for each in rounds),
        replay=[f"python -m keepstep.testing.chaos.poison --rounds 1 --seed {each.seed}" for each in lost],
        counts={
            "errands": float(sum(each.errands for each in rounds)),
            "workers killed by code": float(sum(each.deaths for each in rounds)),
            "rounds": float(len(rounds)),
            "times others' p99, at most": round(median(each.ratio for each in rounds), 3),
        },
    )


if __name__ == "__main__":
    sys.exit(main())
