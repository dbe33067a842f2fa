"""``python -m keepstep.testing.chaos``: so many ``kill -9``, in rounds, and a score. See the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from keepstep.testing.scoreboard import Score

from .plants import PLANTS
from .round import ENDING_SECONDS, Round, play_round

FINDINGS_SHOWN_MAX = 25


def main(arguments: list[str] | None = None) -> int:
    """Play rounds until there were enough kills, or the time is up. 1 if anything was found."""
    options = _parse(arguments)
    if options.plants:
        for name, plant in PLANTS.items():
            print(f"{name:18} {plant.__doc__}")
        return 0
    if options.plant:
        PLANTS[options.plant]()
    rounds = play(options)
    print(score_of(rounds, options).line())
    return 1 if any(each.findings for each in rounds) else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keepstep.testing.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=300, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the first round (default: %(default)s)")
    parser.add_argument("--kills-per-round", type=int, default=300, metavar="N", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=float("inf"), metavar="T", help="begin to end after so long")
    parser.add_argument(
        "--ending-seconds",
        type=float,
        default=ENDING_SECONDS,
        metavar="T",
        help="after the last kill; what is then still open is lost",
    )
    parser.add_argument("--url", help="a database to work in, instead of a new one for each round")
    parser.add_argument("--folder", type=Path, help="where rounds leave what they found (default: a temporary one)")
    parser.add_argument("--plant", choices=PLANTS, metavar="NAME", help="break the engine in this way first")
    parser.add_argument("--plants", action="store_true", help="list the ways to break it")
    return parser.parse_args(arguments)


def play(options: argparse.Namespace) -> list[Round]:
    """The rounds, each told of as it ends."""
    folder = options.folder or Path(tempfile.mkdtemp(prefix="keepstep-chaos-"))
    until = time.monotonic() + options.seconds
    rounds: list[Round] = []
    left = options.kills
    while left > 0 and (not rounds or time.monotonic() < until):
        seed = options.seed + len(rounds)
        kills = min(left, options.kills_per_round)
        try:
            played = play_round(seed, kills, until, folder / f"round-{seed}", options.url, options.ending_seconds)
        except KeyboardInterrupt:
            print(f"round {seed} was interrupted and counts for nothing")
            break
        left -= max(1, played.kills.total())
        rounds.append(played)
        _tell(played, folder)
    return rounds


def _tell(played: Round, folder: Path) -> None:
    kills = ", ".join(f"{count} {stage}" for stage, count in played.kills.most_common())
    facts = ", ".join(f"{count} {what}" for what, count in played.counts.items())
    print(f"round {played.seed}: {played.kills.total()} kills ({kills}) in {played.seconds:.1f} s; {facts}")
    for finding in played.findings[:FINDINGS_SHOWN_MAX]:
        print(f"  LOST: {finding}")
    if played.findings:
        print(f"  {len(played.findings)} findings; everything is kept in {folder / f'round-{played.seed}'}")
    sys.stdout.flush()


def score_of(rounds: list[Round], options: argparse.Namespace) -> Score:
    """What the scoreboard wants to know."""
    counts: Counter[str] = sum((each.counts for each in rounds), Counter())
    again = f"python -m keepstep.testing.chaos --kills {options.kills_per_round} --seed"
    return Score(
        part="kills",
        tried=sum(each.kills.total() for each in rounds),
        lost=sum(len(each.findings) for each in rounds),
        seeds=(rounds[0].seed, rounds[-1].seed) if rounds else None,
        unit="kill -9",
        seconds=sum(each.seconds for each in rounds),
        replay=[f"{again} {each.seed}" for each in rounds if each.findings],
        counts={what: float(count) for what, count in counts.items()},
    )


if __name__ == "__main__":
    sys.exit(main())
