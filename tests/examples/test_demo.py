"""The whole demo, with real processes and real kills."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from examples.order_fulfilment.audit import Audit, audit
from examples.order_fulfilment.demo import run_demo
from examples.order_fulfilment.orders import read_orders

ORDERS = 40


class Run:
    """One run of the demo: its exit code, what it printed, and what its books say."""

    def __init__(self, folder: Path, *, sabotage: bool = False) -> None:
        console = Console(file=io.StringIO(), width=80)
        self.exit_code = run_demo(ORDERS, kills=3, seed=7, sabotage=sabotage, folder=folder, console=console)
        self.text: str = console.file.getvalue()  # type: ignore[attr-defined]
        self.audit: Audit = audit(folder / "books.db", [order.id for order in read_orders(limit=ORDERS)])


@pytest.mark.stress
def test_orders_survive_the_killing_of_workers_and_the_books_are_clean(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.exit_code == 0, run.text
    found = run.audit
    assert found.is_clean
    assert found.completed + found.compensated + found.turned_away == ORDERS
    assert found.completed > ORDERS // 2
    assert found.kills_of_busy_workers == 3
    assert "The books are clean" in run.text


@pytest.mark.stress
def test_with_the_recording_of_one_step_switched_off_the_audit_fails(tmp_path: Path) -> None:
    run = Run(tmp_path, sabotage=True)
    assert run.exit_code == 1, run.text
    assert not run.audit.is_clean
    assert run.audit.wrongs["charged twice"]
    assert "The books are NOT clean" in run.text


def test_an_orders_file_that_is_missing_is_wrong_use(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    assert run_demo(orders_file=tmp_path / "missing.csv", console=console) == 2
    assert "missing.csv" in console.file.getvalue()  # type: ignore[attr-defined]
