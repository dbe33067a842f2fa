"""The example of docs/life-cycle.md archives what is due, and finds it again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SAID = [
    "order-2 has failed",
    "due: 2",
    "in the database: order-2",
    "archived: order-1, sell, completed",
    "archived: order-3, sell, completed",
    "order-1: ann has paid 39.50",
    "of ann: order-1",
    "order-2 is failed in the office, too",
    "today's code replays what is archived",
]


def test_the_program_runs_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.life_cycle", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.splitlines(), ran.stderr) == (SAID, "")
