"""The example of docs/cancelling.md does what the page says."""

from __future__ import annotations

from pathlib import Path

from examples.cancelling.__main__ import store_two
from examples.cancelling.upload import shelf
from tests.runtime.programs import on_an_engine

ROOT = Path(__file__).resolve().parents[2]


def test_what_was_given_up_is_taken_back_exactly() -> None:
    shelf.clear()
    assert on_an_engine(store_two) == [
        "small.zip has 1 parts",
        "large.zip was too large",
        "stored: {'small.zip': 1, 'large.zip': 0}",
    ]


def test_the_page_shows_the_code_of_the_example() -> None:
    page = (ROOT / "docs/cancelling.md").read_text()
    shown = [block.split("```")[0] for block in page.split("```python from examples/cancelling/upload.py\n")[1:]]
    code = (ROOT / "examples/cancelling/upload.py").read_text()
    assert len(shown) == 2
    assert all(block in code for block in shown)
