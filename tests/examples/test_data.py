"""The example of docs/data.md does what the page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SAID = [
    "2 events under first",
    "1 scan is kept beside the database",
    "2 events under second",
    "the letter to Ada Moor is signed by Dr. Fox, with 300,000 bytes of scan",
    "the letter to Ben Cole goes back: no date",
]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_the_program_runs_from_the_command_line(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = [request.getfixturevalue("postgres_url")] if store == "postgres" else []
    command = [sys.executable, "-m", "examples.data", *url]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.splitlines(), ran.stderr) == (SAID, "")
