"""``keepstep retention``, ``archive``, ``export``, ``import`` and ``check --archive``: runs go, and come back.

Commands are called in this process, to be quick; those of ``check``, which import code, in processes of their own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from keepstep import Engine, step, workflow
from keepstep.cli.command import _exit_code
from keepstep.codecs.keys import new_key
from tests.cli.command import Command

CHANGED = """
from keepstep import step, workflow

@step
async def kept_charge(n: int) -> str:
    return f"charged {n}"

@workflow
async def kept_order(n: int) -> str:
    return await kept_charge(n + 1)
"""


@step
async def kept_charge(n: int) -> str:
    return f"charged {n}"


@workflow
async def kept_order(n: int) -> str:
    return await kept_charge(n)


@workflow
async def retired_order(n: int) -> str:
    return await kept_charge(n)


class Said(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Here:
    """The command, in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capture = capture
        monkeypatch.chdir(folder)
        monkeypatch.setenv("KEEPSTEP_DB", "sqlite:///runs.db")
        monkeypatch.setenv("COLUMNS", "200")

    def __call__(self, *arguments: str) -> Said:
        self._monkeypatch.setattr(sys, "argv", ["keepstep", *arguments])
        self._capture.readouterr()
        return Said(_exit_code(), *self._capture.readouterr())

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)


@pytest.fixture
def keepstep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


def run_orders(keepstep: Here, *ids: str, code: Any = None) -> None:
    async def play() -> None:
        async with Engine(f"sqlite:///{keepstep.folder}/runs.db") as engine:
            for id in ids:
                await engine.run(code or kept_order, 7, id=id)

    asyncio.run(play())


def test_rules_are_set_shown_and_carried_out_and_what_is_archived_is_looked_at_and_comes_back(
    keepstep: Here,
) -> None:
    run_orders(keepstep, "a", "b")
    place = str(keepstep.folder / "archive")
    assert "forever" in keepstep("retention").stdout
    assert keepstep("retention", "set", "failed", "90d").stdout == "failed: 90 days, then removed\n"
    assert keepstep("retention", "set", "completed", "0s", "--archive", "archive").stdout == (
        f"completed: 0 s, then archived in {place}\n"
    )
    shown = keepstep.json("retention")["rules"]
    assert shown["completed"] == {"keep_seconds": 0.0, "archive": place}
    assert (shown["failed"]["keep_seconds"], shown["cancelled"]["keep_seconds"]) == (90 * 86_400, None)
    dry = keepstep("retention", "sweep", "--dry-run")
    assert dry.stdout == "would remove 2 runs, 2 of them archived before\n"
    assert keepstep.json("retention", "sweep") == {"removed": 2, "archived": 2, "left": {}}
    assert keepstep.json("list") == []
    assert "2 runs were removed, 2 of them archived" in keepstep("retention").stdout

    listed = keepstep.json("archive", "list", "archive")
    assert [each["id"] for each in listed] == ["a", "b"]
    assert "kept_order" in keepstep("archive", "list", "archive", "b").stdout
    assert "charged 7" in keepstep("archive", "show", "archive", "a").stdout
    kinds = [event["type"] for event in keepstep.json("archive", "show", "archive", "a")]
    assert (kinds[0], kinds[-1]) == ("workflow_started", "workflow_completed")
    missing = keepstep("archive", "show", "archive", "c")
    assert (missing.returncode, "no run 'c' in the archive" in missing.stderr) == (2, True)
    assert keepstep("archive", "show", "archive", "a", "--export", "a.json").returncode == 0
    assert json.loads((keepstep.folder / "a.json").read_text())["run"]["workflow_id"] == "a"

    assert keepstep("archive", "restore", "archive", "a", "--as", "again").returncode == 0
    assert "charged 7" in keepstep("show", "again").stdout
    again = keepstep("archive", "restore", "archive", "a")
    assert (again.returncode, "is here already" in again.stderr) == (2, True)


def test_a_damaged_file_of_an_archive_is_named_and_the_rest_is_read(keepstep: Here) -> None:
    run_orders(keepstep, "a")
    keepstep("retention", "set", "all", "0s", "--archive", "archive")
    keepstep("retention", "sweep")
    [file] = (keepstep.folder / "archive").iterdir()
    (file.parent / "zz.jsonl.gz").write_bytes(file.read_bytes()[:100])
    listed = keepstep("archive", "list", "archive")
    assert (listed.returncode, " a " in f" {listed.stdout}", "zz.jsonl.gz" in listed.stderr) == (1, True, True)


def test_archived_runs_are_replayed_with_code_that_is_to_be_deployed(keepstep: Here) -> None:
    run_orders(keepstep, "a", "b")
    run_orders(keepstep, "gone", code=retired_order)
    keepstep("retention", "set", "all", "0s", "--archive", "archive")
    keepstep("retention", "sweep")
    [file] = (keepstep.folder / "archive").iterdir()
    (file.parent / "zz.jsonl.gz").write_bytes(file.read_bytes()[:100])
    (keepstep.folder / "changed.py").write_text(CHANGED)
    said = Command(keepstep.folder)("check", "changed", "--archive", "archive", "--jobs", "1")
    assert (said.returncode, "zz.jsonl.gz" in said.stderr) == (1, True)
    assert "2 runs of kept_order would block" in said.stdout
    assert "1 run of workflows or versions that changed does not have: passed over" in said.stdout
    said = Command(keepstep.folder)("check", "changed", "--archive", "archives")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == "keepstep: there is no archived run in archives; nothing was checked\n"


def test_a_run_goes_from_one_database_to_another(keepstep: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    run_orders(keepstep, "a")
    keys = keepstep.folder / "keys"
    keys.write_text(f"k1 {new_key()}\n")
    monkeypatch.setenv("KEEPSTEP_KEYS", str(keys))
    assert keepstep("export", "a", "a.sealed").stdout.startswith("a (run ")
    assert b"charged" not in (keepstep.folder / "a.sealed").read_bytes()
    plain = keepstep("export", "a", "--plain").stdout
    (keepstep.folder / "a.json").write_text(plain)
    for file, there in (("a.sealed", "one"), ("a.json", "two")):
        imported = keepstep("import", file, "--db", f"sqlite:///{there}.db")
        assert (imported.returncode, imported.stdout.startswith("a (run ")) == (0, True)
        assert "charged 7" in keepstep("show", "a", "--db", f"sqlite:///{there}.db").stdout
    other = ("--db", "sqlite:///three.db", "--namespace", "restored")
    assert keepstep("import", "a.json", *other).returncode == 0
    assert "charged 7" in keepstep("show", "a", *other).stdout
    assert keepstep("show", "a", *other[:2]).returncode == 2
    twice = keepstep("import", "a.json", "--db", "sqlite:///two.db", "--as", "b")
    assert (twice.returncode, "is here already" in twice.stderr) == (2, True)
    nothing = keepstep("import", "keys")
    assert (nothing.returncode, "no recorded history" in nothing.stderr) == (2, True)
    assert keepstep("start", "kept_order", "--id", "open", "--input", "8").returncode == 0
    refused = keepstep("export", "open")
    assert (refused.returncode, "'open' is open" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("set", "done", "1d"), "not for 'done'"),
        (("--db", "sqlite:///other.db", "set", "all", "1d"), "--db goes behind the command"),
        (("--namespace", "x", "sweep"), "--namespace goes behind the command"),
        (("set", "failed", "soon"), "how long to keep"),
        (("set", "failed", "forever", "--archive", "x"), "kept for ever is never archived"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_line(keepstep: Here, arguments: tuple[str, ...], why: str) -> None:
    run_orders(keepstep)
    refused = keepstep("retention", *arguments)
    assert (refused.returncode, why in refused.stderr, refused.stderr.count("\n")) == (2, True, 1)
