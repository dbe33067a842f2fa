"""Score: what one run of a part of the torture has to say, as the last line that it prints."""

from __future__ import annotations

from pathlib import Path

import msgspec

from .machine import describe_commit

LINES_BEHIND_MAX = 200

REPLAYS_MAX = 10
"""How many commands a score carries; whoever has lost more than that begins with these."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """See the package's docstring for what each field means."""

    part: str
    tried: int
    lost: int
    seeds: tuple[int, int] | None = None
    unit: str = "tries"
    seconds: float = 0.0
    replay: list[str] = []
    counts: dict[str, float] = {}
    commit: str = ""
    """What was tried out; filled in by ``line``."""

    def line(self) -> str:
        """The last line to print."""
        short = msgspec.structs.replace(
            self,
            seconds=round(self.seconds, 1),
            replay=self.replay[:REPLAYS_MAX],
            commit=self.commit or describe_commit(Path(__file__).parent),
        )
        return msgspec.json.encode(short).decode()


def find_scores(log: str) -> list[Score]:
    """The scores of all runs whose output was kept in one log; none if the last one is not near its end.

    Complaints may stand behind each. A run that broke off has none: its seeds are missing in what the others add up to.
    """
    lines = log.splitlines()
    found = [(n, score) for n, line in enumerate(lines) if line.startswith("{") and (score := read_score(line))]
    is_whole = bool(found) and len(lines) - found[-1][0] <= LINES_BEHIND_MAX
    return [score for _, score in found] if is_whole else []


def read_score(output: str) -> Score | None:
    """The score in the last line that is not empty; None if that line is none."""
    lines = output.rstrip().splitlines()
    if not lines:
        return None
    try:
        return msgspec.json.decode(lines[-1], type=Score)
    except msgspec.DecodeError:
        return None
