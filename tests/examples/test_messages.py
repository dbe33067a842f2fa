"""The example of docs/messages.md does what the page says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from examples.messages.__main__ import go_shopping
from examples.messages.basket import Basket, Line
from keepstep import Engine
from tests.runtime.crashing import crash_at_every_commit
from tests.runtime.programs import on_an_engine

ROOT = Path(__file__).resolve().parents[2]

SAID = [
    "tea is in the basket: 600 cents",
    "0 of elephant is nothing that we sell",
    "so far: 600 cents",
    "ordered ann/1, once: True",
    "on the way: ['ann/1']",
    "orders in all: 1",
    "and afterwards, from its history: ['ann/1']",
]


def test_the_program_runs_from_the_command_line() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "examples.messages"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout.splitlines(), ran.stderr) == (SAID, "")


def test_the_program_does_the_same_under_virtual_time() -> None:
    assert on_an_engine(lambda engine: go_shopping(engine, "ann")) == SAID


async def shop_twice(engine: Engine) -> list[str]:
    """Shop, and see the delivery through, which outlives the basket."""
    basket = engine.get("ann")
    await engine.update_with_start(
        Basket, "ann", id="ann", update=Basket.add, update_args=[Line("tea", 2)], update_id="a"
    )
    order: str = await basket.update(Basket.order, id="o")
    parcel = await engine.get(f"delivery-{order}").result()
    told = [order, parcel, str(await basket.query(Basket.open_orders))]
    if (await basket.describe()).status == "running":
        await basket.signal(Basket.close, id="c")
    return [*told, str(await basket.result())]


def test_a_basket_survives_a_crash_at_every_commit() -> None:
    def check(told: list[str], crashes: int) -> None:
        assert told == ["ann/1", "parcel of ann/1, 2 things", "[]", "1"]

    assert crash_at_every_commit(shop_twice, check, poll_seconds=60.0) >= 14


def test_a_basket_that_grows_continues_as_new_and_keeps_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepstep.runtime.execution.CONTINUE_AFTER_EVENTS", 10)

    async def program(engine: Engine) -> int:
        basket = await engine.start(Basket, "ben", id="ben")
        for n in range(3):
            await basket.update(Basket.add, Line("tea", 1), id=f"a{n}")
            order = await basket.update(Basket.order, id=f"o{n}")
            await engine.get(f"delivery-{order}").result()
            while await basket.query(Basket.open_orders):
                await asyncio.sleep(1)
        await basket.signal(Basket.close)
        count: int = await basket.result()
        statuses = [str(info.status) async for info in engine.list("WorkflowType = 'Basket'")]
        assert statuses.count("continued") >= 1
        return count

    assert on_an_engine(program) == 3


def test_the_page_shows_the_example_as_it_is() -> None:
    page, code = (ROOT / "docs/messages.md").read_text(), (ROOT / "examples/messages/basket.py").read_text()
    shown = [block.split("```")[0] for block in page.split("```python from examples/messages/basket.py\n")[1:]]
    assert shown
    for block in shown:
        assert block.strip() in code, block
