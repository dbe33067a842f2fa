"""The example of docs/bulk.md and docs/namespaces.md does what the pages say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SAID = [
    "would retry 4, the first is parcel-1",
    "retried 4, 0 refused",
    "sent 4 by the south, and of all only 4 more when told again",
    "8 of 8",
    "tea: {'cancelled': 8}",
    "books: {'running': 2}",
]


def test_the_program_runs_from_the_command_line() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "examples.bulk"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout.splitlines(), ran.stderr) == (SAID, "")
