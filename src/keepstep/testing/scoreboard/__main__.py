"""``python -m keepstep.testing.scoreboard``: the whole torture for a given time, and the table of what came of it.

Exits with 1 if anything was lost, or a part did not end as it should.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from .batch import Result, run_part
from .machine import describe_commit, describe_machine
from .part import PARTS, Part
from .score import find_scores
from .table import read_rows, table, write_table


def main(arguments: list[str] | None = None, parts: Sequence[Part] = PARTS) -> int:
    """Run the parts, print the table, write it into the page."""
    options = _parse(arguments, parts)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the part that is running ends, too
    chosen = [part for part in parts if not options.only or part.name in options.only]
    results = run(chosen, options.seconds, options.seed, _saved(options.take, parts))
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    kept = {} if options.page is None else read_rows(options.page)
    text = table(results, date, describe_commit(Path(__file__).parent), describe_machine(), kept, parts)
    print(f"\n{text}")
    for result in results:
        _complain(result)
    if options.page is not None:
        write_table(options.page, text)
        print(f"\nscoreboard: written to {options.page}")
    return 0 if all(result.is_clean for result in results) else 1


def _parse(arguments: list[str] | None, parts: Sequence[Part]) -> argparse.Namespace:
    names = [part.name for part in parts]
    parser = argparse.ArgumentParser(prog="python -m keepstep.testing.scoreboard", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, metavar="T", help="in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="where each part begins (default: 1)")
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="PART", help=", ".join(names))
    parser.add_argument(
        "--take", nargs="+", action="append", default=[], metavar=("PART", "FILE"),
        help="take a part's score from what it printed earlier, in a longer campaign, instead of running it; all "
        "scores in the files are added up",
    )  # fmt: skip
    parser.add_argument(
        "--page", type=Path,
        help="the page to write the table into, such as docs/reliability.md; rows of parts that are not run stay",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    for name, *files in options.take:
        if name not in names:
            parser.error(f"--take: there is no part {name!r}; parts are {', '.join(names)}")
        if not files:
            parser.error(f"--take {name}: name the files that hold what it printed")
    return options


def _saved(take: list[list[str]], parts: Sequence[Part]) -> dict[str, Result]:
    """What earlier campaigns came to; several runs of one part, in one file or more, are added up."""
    results: dict[str, Result] = {}
    for name, file in ((name, file) for name, *files in take for file in files):
        scores = find_scores(Path(file).read_text(errors="replace"))
        result = results.setdefault(name, Result(next(part for part in parts if part.name == name)))
        if not scores:
            result.broken = f"{file} has no score near its end"
        for score in scores:
            result.add(score)
    return results


def run(parts: Sequence[Part], seconds: float, seed: int, saved: dict[str, Result]) -> list[Result]:
    """Each part for its share of what is left, so that the whole ends in time whatever single parts do."""
    until = time.monotonic() + seconds
    left = sum(part.share for part in parts if part.name not in saved)
    results: list[Result] = []
    for part in parts:
        if part.name in saved:
            results.append(saved[part.name])
            continue
        own = max(0.0, until - time.monotonic()) * part.share / left
        left -= part.share
        print(f"scoreboard: {part.title} ({part.name}), for {own:.0f} s", flush=True)
        results.append(run_part(part, own, seed, _tell))
    return results


def _tell(line: str) -> None:
    print(f"  {line}", flush=True)


def _complain(result: Result) -> None:
    for command in result.replay:
        print(f"LOST ({result.part.name}): {command}")
    if result.broken:
        print(f"BROKEN ({result.part.name}): {result.broken}")


if __name__ == "__main__":
    sys.exit(main())
