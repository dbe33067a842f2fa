"""Branch coverage has a floor in each of the rooms that must not fail: ``python -m tests.branches REPORT``.

``REPORT`` is what ``coverage json`` writes. A branch is one way on from a line that has several; that a line was
executed proves little where one of its ways was never taken.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOMS = ("journal", "runtime", "worker")
FLOOR_PERCENT = 95.0
MISSED_SHOWN_MAX = 12


def files_of(report: dict[str, Any], room: str) -> dict[str, Any]:
    """The report of a room's modules, by path."""
    return {path: each for path, each in report["files"].items() if f"/keepstep/{room}/" in f"/{path}"}


def percent_of(files: dict[str, Any]) -> float:
    """How many of the branches of these modules were taken."""
    branches = sum(each["summary"]["num_branches"] for each in files.values())
    covered = sum(each["summary"]["covered_branches"] for each in files.values())
    return 100 * covered / branches if branches else 100.0


def tell(room: str, files: dict[str, Any]) -> bool:
    """Print a room's figure, and where most is missing; True if the floor holds."""
    percent = percent_of(files)
    print(f"{room:8} {percent:5.1f} % of branches")
    if percent >= FLOOR_PERCENT:
        return True
    missing = sorted(files.items(), key=lambda each: -int(each[1]["summary"]["missing_branches"]))
    for path, each in missing[:MISSED_SHOWN_MAX]:
        ways = ", ".join(f"{line}->{to if to > 0 else 'exit'}" for line, to in each["missing_branches"])
        print(f"    {path}: {ways}")
    return False


def main() -> int:
    """1 if any room is below the floor."""
    report = json.loads(Path(sys.argv[1]).read_text())
    held = [tell(room, files_of(report, room)) for room in ROOMS]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
