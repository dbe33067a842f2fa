"""The whole demo, with real processes and real kills."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from examples.order_fulfilment.audit import Audit, audit
from examples.order_fulfilment.demo import run_demo
from examples.order_fulfilment.orders import read_orders
from keepstep import InvalidInput

ORDERS = 40


class Run:
    """One run of the demo: its exit code, what it printed, and what its books say."""

    def __init__(self, folder: Path, *, db: str | None = None, sabotage: bool = False) -> None:
        console = Console(file=io.StringIO(), width=80)
        self.exit_code = run_demo(ORDERS, kills=3, seed=7, db=db, sabotage=sabotage, folder=folder, console=console)
        self.text: str = console.file.getvalue()  # type: ignore[attr-defined]
        self.audit: Audit = audit(folder / "books.db", [order.id for order in read_orders(limit=ORDERS)])


@pytest.mark.stress
def test_orders_survive_the_killing_of_workers_and_the_books_are_clean(tmp_path: Path) -> None:
    judge(Run(tmp_path))


@pytest.mark.stress
def test_on_postgresql_the_books_are_clean_as_well(tmp_path: Path, postgres_url: str) -> None:
    judge(Run(tmp_path, db=postgres_url))


def judge(run: Run) -> None:
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


@pytest.mark.stress
def test_more_kills_than_there_are_busy_workers_fail_as_soon_as_all_orders_are_finished(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80)
    assert run_demo(1, kills=9, seed=7, folder=tmp_path, console=console) == 1
    said: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert "kills did not take place" in said
    assert "Nothing happens any more" not in said


@pytest.mark.stress
def test_a_demo_that_is_told_to_stop_takes_all_its_processes_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "keepstep", "demo", "--db", f"sqlite:///{tmp_path / 'runs.db'}"]
    demo = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert demo.stdout is not None
    try:
        while "orders placed" not in (line := demo.stdout.readline()):
            assert line, "the demo has ended by itself"
        demo.terminate()
        said, _ = demo.communicate(timeout=60)
        assert (demo.returncode, "Stopped before all orders were finished" in said) == (1, True)
        with pytest.raises(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), ("", "holds no order"), ("customer,date,quantity,amount\n", "holds no order"),
     ("customer,date\nx,y\n", "line 2: expected customer, date, quantity and amount")],
)  # fmt: skip
def test_orders_that_cannot_be_had_are_wrong_use(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "orders.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InvalidInput, match=said):
        run_demo(orders_file=file)


def test_a_database_that_its_workers_cannot_open_is_wrong_use() -> None:
    with pytest.raises(InvalidInput, match="name a file"):
        run_demo(1, db="memory:")
