"""Batch: a part run as a program again and again, with seeds that go on, until its time is over."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import msgspec

from .machine import UNKNOWN
from .part import Part
from .score import Score, read_score

FIT = 0.9
"""Of the time left, so much is given to the next batch."""

OVERTIME_SECONDS = 600.0
"""How much longer than its time a batch may take before it is given up as stuck."""

OUTPUT_CHARACTERS_KEPT = 4000

AT_MOST = ", at most"
"""Ends the name of a count of which the largest is taken."""

Tell = Callable[[str], None]


class Result(msgspec.Struct):
    """What all batches of a part came to."""

    part: Part
    tried: int = 0
    lost: int = 0
    seeds: list[tuple[int, int]] = []
    """Ranges, in the order of their batches; those that join are one."""
    seconds: float = 0.0
    replay: list[str] = []
    counts: dict[str, float] = msgspec.field(default_factory=lambda: defaultdict(float))
    commits: set[str] = set()
    broken: str = ""
    """Why the part did not keep the agreement, if it did not."""

    def add(self, score: Score) -> None:
        """One more batch."""
        self.tried += int(score.counts.get(self.part.counted, 0)) if self.part.counted else score.tried
        self.lost += score.lost
        if score.seeds is not None:
            joins = bool(self.seeds) and self.seeds[-1][1] + 1 == score.seeds[0]
            first = self.seeds.pop()[0] if joins else score.seeds[0]
            self.seeds.append((first, score.seeds[1]))
        self.seconds += score.seconds
        self.replay += score.replay
        self.commits.add(score.commit or UNKNOWN)
        for name, count in score.counts.items():
            self.counts[name] = max(self.counts[name], count) if name.endswith(AT_MOST) else self.counts[name] + count

    @property
    def is_clean(self) -> bool:
        return self.lost == 0 and not self.broken


def run_part(part: Part, seconds: float, seed: int, tell: Tell) -> Result:
    """Run a part for about so long, or once if it is an enumeration; it stops early when something is lost."""
    result = Result(part)
    until, tries = time.monotonic() + seconds, part.first_tries
    while True:
        options = _options(part, tries, seed, seconds)
        began = time.monotonic()
        _run_batch(result, [*part.command, *options], until - began + OVERTIME_SECONDS)
        now = time.monotonic()
        tell(f"{part.name}: {result.tried} {part.unit}, {result.lost} {part.loses}, {max(0, until - now):.0f} s left")
        seconds_each = (now - began) / tries
        tries = min(int((until - now) * FIT / seconds_each), part.tries_max)
        if not part.count_option or tries < 1 or not result.is_clean:
            return result
        seed = result.seeds[-1][1] + 1 if result.seeds else seed + 1


def _options(part: Part, tries: int, seed: int, seconds: float) -> list[str]:
    if part.count_option:
        return [part.count_option, str(tries), "--seed", str(seed)]
    if part.thin_option:
        every = math.ceil(part.whole_seconds / max(seconds, 1.0))
        return [part.thin_option, str(every)] if every > 1 else []
    return []


def _run_batch(result: Result, command: list[str], seconds_max: float) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, complaints = program.communicate(timeout=seconds_max)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        said = "\n".join(program.communicate())[-OUTPUT_CHARACTERS_KEPT:]
        result.broken = f"python -m {' '.join(command)} did not end\n{said}"
        return
    except BaseException:
        os.killpg(program.pid, signal.SIGKILL)
        raise
    score = read_score(output)
    if score is None:
        said = f"{output}\n{complaints}"[-OUTPUT_CHARACTERS_KEPT:]
        result.broken = f"python -m {' '.join(command)} ended with {program.returncode} and no score\n{said}"
        return
    result.add(score)
    if (program.returncode == 0) != (score.lost == 0):
        result.broken = f"python -m {' '.join(command)} lost {score.lost} and ended with {program.returncode}"
