"""The example of docs/observability.md: kill -9 in the middle of a step leaves one trace, with all its spans."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SAID = """\
the first worker was killed
workflow send_observed (signal received)
  step weigh_observed: completed
  step pack_observed: lost
    look for a box
  step pack_observed: completed
    look for a box
"""


def test_a_run_whose_worker_is_killed_in_a_step_is_one_trace(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/parcels.db", f"{tmp_path}/spans"
    command = [sys.executable, "-m", "examples.observability", url, file]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == (SAID, "")
