"""The example of docs/queues.md does what the page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SAID = [
    "the last order is queued: it waits for ben-0",
    "at most 2 pictures at a time, and 1 order of ann's",
    "8 mails in no less than 2 s: True",
    "of one customer's no more than 2 in a second: True",
]


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgres"])
def test_the_program_runs_from_the_command_line(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if store == "postgres":
        url = request.getfixturevalue("postgres_url")
    else:
        url = "memory:" if store == "memory" else f"sqlite:///{tmp_path}/studio.db"
    command = [sys.executable, "-m", "examples.queues", url]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.splitlines(), ran.stderr) == (SAID, "")
