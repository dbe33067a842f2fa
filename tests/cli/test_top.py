"""``keepstep top``: what it tells once, and what a terminal shows while it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.cli.terminal import terminal


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_rates_open_runs_queues_workers_and_failures_are_told_at_once(keepstep: Command) -> None:
    with keepstep.worker() as worker:
        keepstep("start", "buy", "--input", '{"id": 7, "item": "disc"}', "--id", "asleep")
        keepstep("start", "break_down", "--id", "broken", "--wait")
        keepstep.until(lambda: keepstep.json("show", "asleep")["condition"] == "waiting")
        told = keepstep.json("top")
        said = keepstep("top").stdout
    assert (told["started_rate"], sum(told["started"])) == (0.2, 2)
    assert told["ended_rates"] == {"failed": 0.1}
    assert told["open_runs"] == {"waiting": 1}
    assert [(each["pid"], each["label"], each["queues"]) for each in told["workers"]] == [
        (worker.pid, "app", ["default"])
    ]
    assert {each["name"]: each["workers"] for each in told["queues"]}["default"] == 1
    assert [each["id"] for each in told["newest"]] == ["broken", "asleep"]
    assert [(each["id"], "kaputt" in each["says"]) for each in told["failed"]] == [("broken", True)]
    for part in ("waiting 1", "failed 0.1/s", "StepFailed", f"{worker.pid}", "failed within a day"):
        assert part in said
    assert "\x1b" not in said


def test_where_no_worker_is_it_says_how_one_is_started(keepstep: Command) -> None:
    keepstep("start", "buy", "--input", "1", "--id", "lonely")
    said = keepstep("top", "--once")
    assert (said.returncode, "keepstep worker MODULE" in said.stdout) == (0, True)
    assert "nobody serves it" in said.stdout


def test_a_database_that_is_not_there_is_wrong_use(keepstep: Command) -> None:
    said = keepstep("top")
    assert (said.returncode, "does not exist" in said.stderr) == (2, True)


def test_a_terminal_shows_what_happens_until_q_is_pressed_and_is_left_as_it_was(keepstep: Command) -> None:
    keepstep("start", "buy", "--input", "1", "--id", "first")
    with terminal(keepstep, "top", "--every", "0.2") as screen:
        screen.until("first")
        keepstep("start", "buy", "--input", "2", "--id", "second")
        screen.until("second")
        assert "\x1b[?1049h" in screen.seen, "it has a screen of its own"
        screen.press("q")
        assert screen.end() == 0
        assert screen.seen.rindex("\x1b[?1049l") > screen.seen.rindex("\x1b[?1049h")


def test_states_are_coloured_in_a_terminal_unless_no_colour_is_wanted(keepstep: Command) -> None:
    keepstep("start", "buy", "--input", "1", "--id", "bought")
    assert keepstep("terminate", "bought").returncode == 0
    for arguments in (("list",), ("show", "bought")):
        with terminal(keepstep, *arguments) as screen:
            assert screen.end() == 0
            assert "\x1b[33mterminated" in screen.seen
        with terminal(keepstep, *arguments, NO_COLOR="1") as screen:
            assert screen.end() == 0
            assert "terminated" in screen.seen
            assert "\x1b[3" not in screen.seen


def test_a_table_is_no_wider_than_its_terminal(keepstep: Command) -> None:
    keepstep("start", "buy", "--input", "1", "--id", "x" * 150)
    with terminal(keepstep, "list", COLUMNS="60", NO_COLOR="1") as screen:
        assert screen.end() == 0
        assert max(map(len, screen.seen.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines())) <= 60
