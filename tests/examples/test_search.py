"""The example of docs/searching.md finds what it should, on every store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SAID = [
    "WorkflowType = 'fulfil_order' AND Status = 'running' AND customer = 'ann' ORDER BY WorkflowId: order-1, order-3",
    "amount > 40 AND tags = 'teapot' ORDER BY amount DESC: order-4, order-2, order-3",
    "stage = 'waiting for delivery' AND due < NOW + '7d': order-2",
    "Status = 'completed' OR items BETWEEN 2 AND 3 ORDER BY WorkflowId: order-2, order-4",
    "custmer = 'ann': no field, at position 1",
    "by customer: {'ann': 2, 'ben': 1, 'cleo': 1}",
    "by pages: order-4, order-2 | order-3",
]


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgres"])
def test_the_program_runs_from_the_command_line(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if store == "postgres":
        url = request.getfixturevalue("postgres_url")
    else:
        url = "memory:" if store == "memory" else f"sqlite:///{tmp_path}/orders.db"
    command = [sys.executable, "-m", "examples.search", url]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.splitlines(), ran.stderr) == (SAID, "")
