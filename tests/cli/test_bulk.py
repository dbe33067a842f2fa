"""``--where``: one word to many runs from the command line; and ``--namespace``."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from keepstep import BlockingEngine
from keepstep.cli.command import main
from tests.cli.command import Command


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    with BlockingEngine(f"sqlite:///{tmp_path}/runs.db", workers=False) as engine:
        for n in range(3):
            engine.start("wait_for_webhook", id=f"run-{n}")
    return Command(tmp_path)


def test_a_dry_run_says_how_many_and_which_and_changes_nothing(keepstep: Command) -> None:
    ran = keepstep("cancel", "--where", "WorkflowId != 'run-1'", "--dry-run")
    assert (ran.returncode, ran.stderr) == (0, "")
    first, *table = ran.stdout.splitlines()
    assert first == "would cancel 2 runs"
    assert [row.split()[0] for row in table if "run-" in row] == ["run-0", "run-2"]
    shown = keepstep.json("terminate", "--all", "--dry-run")
    assert (shown["total"], shown["done"], shown["dry_run"]) == (3, 3, True)
    assert shown["sample"] == ["run-0", "run-1", "run-2"]
    assert {each["status"] for each in keepstep.json("list")} == {"running"}


def test_runs_are_signalled_terminated_and_told_in_json_and_a_bulk_can_be_repeated(keepstep: Command) -> None:
    told = keepstep.json("signal", "--where", "WorkflowId != 'run-1'", "picked", '{"n": 1}')
    assert (told["done"], [each["id"] for each in told["runs"]]) == (2, ["run-0", "run-2"])
    again = ("--bulk-id", told["id"], "--began-at", told["began_at"])
    ran = keepstep("signal", "--where", "WorkflowId != 'run-1'", "picked", '{"n": 1}', *again)
    assert (ran.returncode, ran.stdout) == (0, "0 runs signalled, 2 were so already\n")
    ran = keepstep("terminate", "--all", "--reason", "closing", "--yes")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "3 runs terminated\n", "")
    assert {(each["status"], each["error"]) for each in keepstep.json("list")} == {
        ("terminated", "terminated: closing")
    }
    ran = keepstep("retry", "--where", "Status = 'terminated'")
    assert (ran.returncode, ran.stdout) == (0, "0 runs retried\n")


def test_what_refuses_is_said_and_the_exit_code_is_1(tmp_path: Path) -> None:
    keepstep = Command(tmp_path)
    with keepstep.worker():
        assert keepstep("start", "undo_all", "--id", "undone", "--wait").returncode == 1
        assert keepstep("start", "break_down", "--id", "broken", "--wait").returncode == 1
    ran = keepstep("retry", "--all", "--dry-run")
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, "would retry 1 run, and 1 run would refuse")
    ran = keepstep("retry", "--all")
    assert (ran.returncode, ran.stdout) == (1, "1 run retried, 1 refused\n")
    assert ran.stderr.startswith("keepstep: undone: run 'undone' has compensated what it had done")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cancel",), "which run?"),
        (("cancel", "run-0", "--where", "Status = 'running'"), "not both"),
        (("cancel", "--all", "--where", "Status = 'running'"), "leave one out"),
        (("terminate", "run-0", "--dry-run"), "are for many runs"),
        (("signal", "--all"), "signal NAME [JSON]"),
        (("signal", "run-0"), "signal ID NAME [JSON]"),
        (("cancel", "--where", ""), "a bulk needs a filter"),
        (("cancel", "--where", "custmer = 1"), "at position 1"),
        (("cancel", "--all", "--began-at", "soon"), "no time such as"),
    ],
)
def test_wrong_use_is_said_in_one_line_and_does_nothing(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["keepstep", *words, "--db", "memory:"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert said in err.splitlines()[0]


@pytest.mark.parametrize(("answer", "code", "status"), [("n\n", 1, "running"), ("y\n", 0, "terminated")])
def test_at_a_terminal_it_asks_first(keepstep: Command, answer: str, code: int, status: str) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    ran = subprocess.run(
        [sys.executable, "-m", "keepstep", "terminate", "--all"], stdin=theirs, capture_output=True, text=True,
        cwd=keepstep.folder, env=keepstep.environment, timeout=40, check=False,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert ran.returncode == code
    assert ran.stderr.startswith("run-0, run-1, run-2\nterminate 3 runs? [y/N]:")
    assert {each["status"] for each in keepstep.json("list")} == {status}


def test_every_command_is_about_the_namespace_that_it_is_given(keepstep: Command) -> None:
    mine = ("--namespace", "mine")
    assert keepstep("start", "break_down", "--id", "run-0", *mine).returncode == 0
    assert [each["id"] for each in keepstep.json("list", *mine)] == ["run-0"]
    ran = keepstep("show", "run-1", *mine)
    assert (ran.returncode, "no run 'run-1' in namespace 'mine'" in ran.stderr) == (2, True)
    [other] = [each["run_id"] for each in keepstep.json("list") if each["id"] == "run-0"]
    assert keepstep("terminate", other, *mine).returncode == 2
    keepstep.environment["KEEPSTEP_NAMESPACE"] = "mine"
    with keepstep.worker():
        keepstep.until(lambda: keepstep.json("show", "run-0")["status"] == "failed")
        found = [each["what"] for each in keepstep.json("doctor", "--namespace", "default")]
        assert "no worker serves queue 'default', and 3 runs are waiting for it" in found
        assert not any(each["level"] == "problem" for each in keepstep.json("doctor"))
    ran = keepstep("check", "app", "--closed", "5", "--json", "--jobs", "1")
    assert (ran.returncode, json.loads(ran.stdout)["runs"]) == (0, 1)
    assert keepstep("list", "--namespace", "a:schedules").returncode == 2
    del keepstep.environment["KEEPSTEP_NAMESPACE"]
    assert {each["status"] for each in keepstep.json("list")} == {"running"}
