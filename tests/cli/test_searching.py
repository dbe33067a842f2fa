"""``keepstep list`` with a filter, and ``keepstep attributes``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_a_bad_filter_is_refused_with_a_caret_below_its_place(keepstep: Command) -> None:
    assert keepstep("start", "anything", "--id", "a").returncode == 0
    ran = keepstep("list", "Status = 'running' AND custmer = 'c7'")
    assert (ran.returncode, ran.stdout) == (2, "")
    first, *picture = ran.stderr.splitlines()
    assert first.startswith("keepstep: filter: at position 24 of")
    assert picture == ["  Status = 'running' AND custmer = 'c7'", "                         ^"]


def test_runs_are_listed_by_a_filter_in_its_order(keepstep: Command) -> None:
    for name in ("a", "b", "c"):
        assert keepstep("start", "anything", "--id", name).returncode == 0
    found = keepstep.json("list", "WorkflowId IN ('a', 'c') AND StartTime > NOW - '1h' ORDER BY WorkflowId")
    assert [run["id"] for run in found] == ["a", "c"]
    assert "2 of 3 runs; the next ones: --cursor" in keepstep("list", "Status = 'running'", "--limit", "2").stderr


def test_runs_are_counted_by_a_field(keepstep: Command) -> None:
    for name in ("a", "b", "c"):
        assert keepstep("start", "anything", "--id", name).returncode == 0
    counted = keepstep.json("list", "WorkflowId != 'c'", "--count-by", "Status")
    assert counted == [{"value": "running", "count": 2}]
    shown = keepstep("list", "--count-by", "WorkflowType").stdout.split()
    assert (shown[:2], shown[-2:]) == (["WorkflowType", "runs"], ["anything", "3"])
    ran = keepstep("list", "--count-by", "Statsu")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "did you mean Status?" in ran.stderr


def test_attributes_are_registered_and_listed(keepstep: Command) -> None:
    assert keepstep("start", "anything", "--id", "a").returncode == 0
    assert keepstep("attributes", "register", "due", "datetime").stdout == "attribute due is datetime\n"
    assert keepstep.json("attributes", "list") == [{"name": "due", "type": "datetime"}]
    assert "datetime" in keepstep("attributes", "list").stdout
    assert keepstep.json("list", "due > NOW") == []
    ran = keepstep("attributes", "register", "due", "int")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "attribute 'due' is registered as datetime, and keeps that type" in ran.stderr
    assert keepstep("attributes", "register", "Status", "keyword").returncode == 2
