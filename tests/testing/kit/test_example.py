"""The example of docs/testing.md passes, in a session without other plugins, and the page shows it as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.testing.kit.inner import PATHS, ROOT

EXAMPLE = ROOT / "examples" / "testing"


def run_example(folder: Path, *arguments: str) -> str:
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -W error --import-mode=importlib\n")
    options = ["-p", "pytest_keepstep", "-p", "no:cacheprovider", "-c", str(folder / "pytest.ini")]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--rootdir={ROOT}", *arguments, str(EXAMPLE)],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": PATHS},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    return ran.stdout


def test_the_example_passes_and_one_of_its_crashes_can_be_seen_alone(tmp_path: Path) -> None:
    assert "5 passed" in run_example(tmp_path)
    assert "1 passed, 4 deselected" in run_example(tmp_path, "-k", "leaves", "--keepstep-crash", "4-before")


def test_the_page_shows_the_example_as_it_is() -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    source = (EXAMPLE / "test_subscription.py").read_text()
    shown = [
        block.split("```")[0] for block in page.split("```python from examples/testing/test_subscription.py\n")[1:]
    ]
    assert len(shown) == 4
    assert all(block in source for block in shown)
