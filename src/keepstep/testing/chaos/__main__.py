"""``python -m keepstep.testing.chaos``: so many ``kill -9``, in rounds, and a score. See the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from keepstep.testing.postgres.trouble import TROUBLES
from keepstep.testing.scoreboard import Score

from .campaign import Campaign
from .home import Home, PostgresHome, SqliteHome
from .plants import PLANTS
from .round import Round, play_round

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
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite", help="default: %(default)s")
    parser.add_argument(
        "--trouble", choices=TROUBLES, default="calm", help="of the PostgreSQL server (default: %(default)s)"
    )
    parser.add_argument(
        "--every", type=float, nargs=2, metavar=("A", "B"), default=(5.0, 40.0), help="seconds from trouble to trouble"
    )
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="start at least so many in each round")
    parser.add_argument("--troubles", type=int, default=0, metavar="N", help="at least so many in each round")
    parser.add_argument("--runs-per-second", type=float, default=10.0, metavar="N", help="default: %(default)s")
    parser.add_argument("--lease-seconds", type=float, default=0.4, metavar="T", help="default: %(default)s")
    parser.add_argument("--kills-per-round", type=int, default=300, metavar="N", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=float("inf"), metavar="T", help="begin to end after so long")
    parser.add_argument(
        "--ending-seconds",
        type=float,
        default=90.0,
        metavar="T",
        help="after the last kill; what is then still open is lost",
    )
    parser.add_argument("--url", help="a file of SQLite to work in, instead of a new one for each round")
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
    home = _home(options)
    try:
        while not rounds or (left > 0 and time.monotonic() < until):
            seed = options.seed + len(rounds)
            campaign = _campaign(options, min(left, options.kills_per_round), until)
            try:
                played = play_round(seed, campaign, folder / f"round-{seed}", home)
            except KeyboardInterrupt:
                print(f"round {seed} was interrupted and counts for nothing")
                break
            left -= max(1, played.kills.total())
            rounds.append(played)
            _tell(played, folder)
    finally:
        home.close()
    return rounds


def _home(options: argparse.Namespace) -> Home:
    if options.store == "sqlite":
        return SqliteHome(options.url)
    return PostgresHome(options.trouble, (options.every[0], options.every[1]), options.seed)


def _campaign(options: argparse.Namespace, kills: int, until: float) -> Campaign:
    return Campaign(
        kills=kills,
        runs=options.runs,
        troubles=options.troubles,
        runs_per_second=options.runs_per_second,
        lease_seconds=options.lease_seconds,
        ending_seconds=options.ending_seconds,
        until=until,
    )


def _tell(played: Round, folder: Path) -> None:
    kills = ", ".join(f"{count} {stage}" for stage, count in played.kills.most_common())
    facts = ", ".join(f"{count} {what}" for what, count in played.counts.items())
    print(f"round {played.seed}: {played.kills.total()} kills ({kills}) in {played.seconds:.1f} s; {facts}")
    for finding in played.findings[:FINDINGS_SHOWN_MAX]:
        print(f"  LOST: {finding}")
    if played.findings:
        print(f"  {len(played.findings)} findings; everything is kept in {folder / f'round-{played.seed}'}")
    sys.stdout.flush()


def _options_again(options: argparse.Namespace) -> str:
    """What makes another round of the same kind."""
    again = [f"--kills {min(options.kills, options.kills_per_round)}"]
    if options.store != "sqlite":
        again += [f"--store {options.store} --trouble {options.trouble}", "--every {:g} {:g}".format(*options.every)]
    if options.troubles:
        again.append(f"--troubles {options.troubles}")
    if options.runs:
        again.append(f"--runs {options.runs} --runs-per-second {options.runs_per_second:g}")
    return " ".join(again)


def score_of(rounds: list[Round], options: argparse.Namespace) -> Score:
    """What the scoreboard wants to know."""
    counts: Counter[str] = sum((each.counts for each in rounds), Counter())
    again = f"python -m keepstep.testing.chaos {_options_again(options)} --seed"
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
