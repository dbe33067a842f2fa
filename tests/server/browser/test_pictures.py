"""The pictures in the documents: taken of the pages as they are, so that none shows what is gone.

``make pictures`` puts them into ``docs/pictures``; without ``KEEPSTEP_PICTURES`` they are taken and judged only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from .conftest import SEEN_MILLISECONDS_MAX
from .flowers import open_shop
from .served import Served, served

BYTES_MAX = 100_000
COMMITTED = Path(__file__).parents[3] / "docs" / "pictures"
WIDTH = 1180

PICTURES = {
    "overview": ("/overview?since=1h", 490, "failed within the last hour"),
    "runs": ("/", 490, "order-108"),
    "run": ("/runs/order-105", 520, "charge_for_flowers"),
    "queues": ("/queues", 290, "couriers"),
}
"""Of each its page, its height, and what is seen there once it is complete."""


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("flowers")) as shop:
        shop.do(open_shop(shop))
        yield shop


@pytest.mark.parametrize("name", PICTURES)
def test_a_page_has_its_picture(name: str, browser: Browser, flowers: Served, tmp_path: Path) -> None:
    path, height, seen = PICTURES[name]
    context = browser.new_context(
        viewport={"width": WIDTH, "height": height}, color_scheme="light", reduced_motion="reduce"
    )
    context.set_default_timeout(SEEN_MILLISECONDS_MAX)
    page = context.new_page()
    page.goto(flowers.address + path)
    expect(page.get_by_text(seen).first).to_be_visible(timeout=SEEN_MILLISECONDS_MAX)
    file = Path(os.environ.get("KEEPSTEP_PICTURES") or tmp_path) / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file, animations="disabled")
    context.close()
    assert 5_000 < file.stat().st_size < BYTES_MAX


def test_each_picture_of_the_documents_is_taken_here_and_shown_there() -> None:
    committed = {each.stem for each in COMMITTED.glob("*")}
    assert committed == set(PICTURES)
    shown = "".join(each.read_text() for each in COMMITTED.parent.glob("*.md"))
    assert [name for name in PICTURES if f"(pictures/{name}.png)" not in shown] == []
    assert all(each.stat().st_size < BYTES_MAX for each in COMMITTED.glob("*"))
