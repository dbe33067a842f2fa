"""The example of docs/interceptors.md does what the page says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from examples.interceptors.__main__ import serve_tenants
from examples.interceptors.tenants import INTERCEPTORS
from tests.runtime.crashing import crash_at_every_commit

ROOT = Path(__file__).resolve().parents[2]

SAID = [
    "label of ann for tea",
    "tea packed for ann",
    "label of ben for cup",
    "cup packed for ben",
    "to ben: nothing: there is nothing to ship",
]


def test_the_program_runs_from_the_command_line() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "examples.interceptors"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.stdout.splitlines(), ran.stderr) == (SAID, "")


def test_the_page_shows_the_code_of_the_example() -> None:
    page = (ROOT / "docs/interceptors.md").read_text()
    shown = [block.split("```")[0] for block in page.split("```python from examples/interceptors/tenants.py\n")[1:]]
    code = (ROOT / "examples/interceptors/tenants.py").read_text()
    assert len(shown) == 2
    assert all(block in code for block in shown)


def test_tenants_are_served_alike_over_a_crash_at_every_commit() -> None:
    def check(said: list[str], crashes: int) -> None:
        assert said == SAID

    options = {"interceptors": INTERCEPTORS, "queues": ("default", "warehouse")}
    assert crash_at_every_commit(serve_tenants, check, poll_seconds=60.0, **options) >= 20  # type: ignore[arg-type]
