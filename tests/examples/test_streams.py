"""The example of docs/streams.md: what a model says is read while it speaks, from where a reader was cut off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SAID = """\
at first: Why? You
progress: thinking, translating, done
then: had
then: Why? You had better ask somebody else.
then: WHY? YOU HAD BETTER ASK SOMEBODY ELSE.
result: WHY? YOU HAD BETTER ASK SOMEBODY ELSE.
"""


@pytest.mark.parametrize("example", ["streams/answer.py", "data/messages.py"])
def test_what_a_page_shows_is_in_the_example(example: str) -> None:
    page = (ROOT / "docs" / f"{example.partition('/')[0]}.md").read_text()
    shown = [block.split("```")[0] for block in page.split(f"```python from examples/{example}\n")[1:]]
    program = (ROOT / "examples" / example).read_text()
    assert shown
    assert all(block in program for block in shown)


def test_a_client_reads_along_and_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.streams", f"sqlite:///{tmp_path}/talks.db"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == (SAID, "")
