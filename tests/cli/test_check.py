"""``keepstep check`` tells before a deploy which runs the new code would block, and changes nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command

FIRST = """
import os, pathlib
import keepstep
from keepstep import step, workflow

@step
async def reserve_for_check(n: int) -> str:
    return f"reserved {n}"

@step
async def pay_for_check(n: int) -> str:
    with pathlib.Path("paid").open("a") as file:
        file.write(f"{n}\\n")
    return f"paid {n}"

@workflow
async def order_to_check(n: int) -> list[str]:
    got = [await reserve_for_check(n)]
    got.append(await keepstep.receive("go", str))
    got.append(await pay_for_check(n))
    return got

@workflow
async def count_to_check(n: int) -> int:
    return n
"""

COMPATIBLE = FIRST.replace("got.append(await pay_for_check(n))", 'got += [await pay_for_check(n), "thanks"]')
CONTRADICTING = FIRST.replace("reserve_for_check(n)]", "pay_for_check(n)]")
RETURNING_EARLY = FIRST.replace("return n\n", 'return int(await keepstep.receive("more"))\n')
REMOVED = FIRST.replace("order_to_check", "another_order_to_check")
DEADLY = FIRST.replace("got = [await", "os._exit(3) if n == 2 else None\n    got = [await")


WITH_INTERCEPTORS = (
    FIRST
    + """
class Auditing(keepstep.Interceptor):
    async def call(self, call, call_next):
        if call.step is reserve_for_check:
            await pay_for_check(0)
        return await call_next(call)

class Passing(keepstep.Interceptor):
    async def call(self, call, call_next):
        return await call_next(call)

PASSING = [Passing(), Passing()]
"""
)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four runs that wait, and four that are done."""
    folder = tmp_path_factory.mktemp("waiting")
    command = Command(folder)
    for name, text in (
        ("first", FIRST), ("compatible", COMPATIBLE), ("contradicting", CONTRADICTING), ("removed", REMOVED),
        ("returning_early", RETURNING_EARLY), ("deadly", DEADLY), ("around", WITH_INTERCEPTORS),
    ):  # fmt: skip
        (folder / f"{name}.py").write_text(text)
    with command.worker(module="first"):
        for n in range(4):
            command("start", "order_to_check", "--input", str(n), "--id", f"order-{n}")
            command("start", "count_to_check", "--input", str(n), "--id", f"count-{n}", "--wait")
        command.until(lambda: len(command.json("list", "Condition = 'waiting'")) == 4)
    return folder


@pytest.fixture
def keepstep(waiting: Path, tmp_path: Path) -> Command:
    shutil.copytree(waiting, tmp_path, dirs_exist_ok=True)
    return Command(tmp_path)


def content(folder: Path) -> list[str]:
    """Everything that the database holds."""
    with sqlite3.connect(f"file:{folder / 'runs.db'}?mode=ro", uri=True) as db:
        return list(db.iterdump())


def test_code_that_goes_on_with_all_runs_is_told_so_and_nothing_is_changed(keepstep: Command) -> None:
    before = content(keepstep.folder)
    for module in ("first", "compatible"):
        ran = keepstep("check", module)
        assert ran.returncode == 0, ran.stderr
        assert "none would block" in ran.stdout
        assert "4 runs, 8 events" in ran.stdout
    assert content(keepstep.folder) == before
    assert not (keepstep.folder / "paid").exists()


def test_code_that_contradicts_histories_is_told_with_run_event_line_and_diff(keepstep: Command) -> None:
    before = content(keepstep.folder)
    ran = keepstep("check", "contradicting")
    assert ran.returncode == 1
    assert "4 runs of order_to_check would block" in ran.stdout
    assert "history has    seq 2: step_completed reserve_for_check" in ran.stdout
    line = 1 + CONTRADICTING[: CONTRADICTING.index("pay_for_check(n)]")].count("\n")
    assert f"pay_for_check: step pay_for_check   at {keepstep.folder}/contradicting.py:{line}" in ran.stdout
    for n in range(4):
        assert f"    order-{n}   at seq 2   running" in ran.stdout
    assert content(keepstep.folder) == before
    assert not (keepstep.folder / "paid").exists()

    told = keepstep.json("check", "contradicting", "--jobs", "1")
    assert (told["runs"], told["events"]) == (4, 8)
    assert sorted(each["id"] for each in told["troubles"]) == [f"order-{n}" for n in range(4)]
    assert {each["diff"]["asked"][0]["site"]["line"] for each in told["troubles"]} == {line}


def test_runs_are_checked_with_the_interceptors_that_are_named(keepstep: Command) -> None:
    assert keepstep("check", "around").returncode == 0
    fine = keepstep("check", "around", "--interceptor", "around:PASSING", "--interceptor", "around:Passing")
    assert (fine.returncode, "none would block" in fine.stdout) == (0, True), fine.stderr
    ran = keepstep("check", "around", "--interceptor", "around:Auditing")
    assert (ran.returncode, "4 runs of order_to_check would block" in ran.stdout) == (1, True)
    assert "step pay_for_check" in ran.stdout
    for wrong, why in (("around", "takes MODULE:NAME"), ("around:order_to_check", "is no keepstep.Interceptor")):
        refused = keepstep("check", "around", "--interceptor", wrong)
        assert (refused.returncode, why in refused.stderr) == (2, True), refused.stderr


def test_a_check_beside_a_working_worker_takes_nothing_from_it(keepstep: Command) -> None:
    with keepstep.worker(module="first"):
        assert keepstep("check", "contradicting").returncode == 1
        keepstep("signal", "order-1", "go", '"now"')
        keepstep.until(lambda: keepstep.json("show", "order-1")["status"] == "completed")
        assert keepstep("check", "contradicting").returncode == 1
    assert (keepstep.folder / "paid").read_text() == "1\n"


def test_closed_runs_are_checked_when_asked_for(keepstep: Command) -> None:
    assert keepstep("check", "returning_early").returncode == 0
    ran = keepstep("check", "returning_early", "--closed", "3")
    assert ran.returncode == 1
    assert "3 runs of count_to_check would block" in ran.stdout
    assert "goes on where the run had completed" in ran.stdout
    assert "7 runs" in ran.stdout
    fitting = keepstep("check", "compatible", "--closed", "100")
    assert (fitting.returncode, "8 runs" in fitting.stdout) == (0, True)
    only = keepstep("check", "returning_early", "--closed", "100", "--workflow", "order_to_check")
    assert (only.returncode, "4 runs" in only.stdout) == (0, True)


def test_runs_of_a_workflow_that_is_gone_are_told(keepstep: Command) -> None:
    ran = keepstep("check", "removed")
    assert ran.returncode == 1
    assert "There is no workflow 'order_to_check' in this code" in ran.stdout


def test_code_that_brings_its_process_down_is_found_out_run_by_run(keepstep: Command) -> None:
    told = keepstep.json("check", "deadly", "--jobs", "2")
    assert told["runs"] == 4
    [trouble] = told["troubles"]
    assert trouble["id"] == "order-2"
    assert "brought its process down" in trouble["diff"]["summary"]


def test_runs_that_are_blocked_today_and_would_go_on_are_told_and_do_go_on(keepstep: Command) -> None:
    with keepstep.worker(module="contradicting"):
        keepstep("signal", "order-3", "go", '"now"')
        keepstep.until(lambda: len(keepstep.json("list", "Condition = 'blocked'")) == 4)
    told: Any = json.loads(keepstep("check", "first", "--json").stdout)
    assert told["freed"] == [f"order-{n}" for n in range(4)]
    with keepstep.worker(module="compatible"):
        keepstep.until(lambda: keepstep.json("show", "order-3")["status"] == "completed")
    assert keepstep.json("show", "order-3")["error"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "first", "--db", "sqlite:///nowhere.db"), "does not exist"),
        (("check", "first", "--db", "memory:"), "nothing in it to look at"),
        (("check", "missing"), "no module 'missing'"),
        (("check", "first", "--workflow", "unheard_of"), "no workflow 'unheard_of'"),
    ],
)
def test_what_cannot_be_checked_is_one_line(keepstep: Command, arguments: tuple[str, ...], said: str) -> None:
    ran = keepstep(*arguments)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_file_that_is_no_journal_is_left_alone(keepstep: Command) -> None:
    with sqlite3.connect(keepstep.folder / "other.db") as other:
        other.execute("CREATE TABLE mine (x)")
    ran = keepstep("check", "first", "--db", "sqlite:///other.db")
    assert ran.returncode == 2
    assert "no database of Keepstep" in ran.stderr
