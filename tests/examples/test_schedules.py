"""The example of docs/schedules.md does what the page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from examples.schedules.__main__ import look_at_schedules
from tests.runtime.programs import on_an_engine

ROOT = Path(__file__).resolve().parents[2]

SAID = [
    "around Christmas: Thu 24 Dec 09:00 CET, Mon 28 Dec 09:00 CET",
    "the pulse was felt 3 times, 0 were missed",
    "berlin: 600 orders",
    "morning-report is paused: holidays",
    "what became of it: created, paused, triggered, fired",
]


def test_the_program_runs_from_the_command_line() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "examples.schedules"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout.splitlines(), ran.stderr) == (SAID, "")


def test_the_program_does_the_same_under_virtual_time() -> None:
    assert on_an_engine(look_at_schedules) == SAID
