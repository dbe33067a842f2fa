"""Deploys with real workers on one file: two versions side by side, killed workers, code that does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command

STEPS = """
import pathlib
import keepstep
from keepstep import step, workflow

@step
async def note_deployed(word: str) -> str:
    with pathlib.Path("noted").open("a") as file:
        file.write(f"{keepstep.step_info().run_id} {word}\\n")
    return word
"""

PINNED = (
    STEPS
    + """
@workflow(name="order_in_versions", version="VERSION", pinned=True)
async def order_in_versions() -> list[str]:
    got = [await note_deployed("begun with VERSION")]
    await keepstep.receive("go")
    return [*got, await note_deployed("ended with VERSION")]
"""
)

UNVERSIONED = (
    STEPS
    + """
@workflow
async def order_to_deploy() -> list[str]:
    got = [await note_deployed("begun")]
    await keepstep.receive("go")
    return [*got, await note_deployed("ended")]
"""
)
BROKEN = UNVERSIONED.replace('[await note_deployed("begun")]', '[await note_deployed("otherwise")]')
PATCHED = UNVERSIONED.replace(
    'return [*got, await note_deployed("ended")]',
    'return [*got, await note_deployed("patched" if keepstep.patched("ending") else "ended")]',
)


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    for version in ("1", "2"):
        (tmp_path / f"version_{version}.py").write_text(PINNED.replace("VERSION", version))
    for name, text in (("unversioned", UNVERSIONED), ("broken", BROKEN), ("patched", PATCHED)):
        (tmp_path / f"{name}.py").write_text(text)
    return Command(tmp_path)


def shown(keepstep: Command, id: str) -> Any:
    return keepstep.json("show", id)


def noted(keepstep: Command, id: str) -> list[str]:
    run_id = shown(keepstep, id)["run_id"]
    lines = (keepstep.folder / "noted").read_text().splitlines()
    return [line.removeprefix(f"{run_id} ") for line in lines if line.startswith(run_id)]


def test_runs_stay_with_their_version_through_kills_and_one_that_nobody_serves_says_so(keepstep: Command) -> None:
    with keepstep.worker(module="version_1"):
        keepstep("start", "order_in_versions", "--id", "old")
        keepstep.until(lambda: shown(keepstep, "old")["condition"] == "waiting")
    with keepstep.worker(module="version_2"):
        keepstep("start", "order_in_versions", "--id", "new")
        keepstep("signal", "old", "go")
        keepstep("signal", "new", "go")
        keepstep.until(lambda: shown(keepstep, "new")["status"] == "completed")
        assert noted(keepstep, "old") == ["begun with 1"]
        said = keepstep("show", "old").stdout
        assert "version   1; it stays with it" in said
        assert "no worker serves version '1' of workflow 'order_in_versions'" in said.replace("No worker", "no worker")
        listed = {each["id"]: each["version"] for each in keepstep.json("list")}
        assert listed == {"old": "1", "new": "2"}
        doctor = keepstep("doctor")
        assert doctor.returncode == 1
        assert "no worker serves version '1' of workflow 'order_in_versions', and 1 run" in doctor.stdout
        checked = keepstep("check", "version_2")
        assert (checked.returncode, "stays with version '1'" in checked.stdout) == (1, True)
        with keepstep.worker(module="version_1"):
            keepstep.until(lambda: shown(keepstep, "old")["status"] == "completed")
            keepstep("start", "order_in_versions", "--id", "newest")
            checked = keepstep("check", "version_1")
            assert (checked.returncode, "1 run of versions that other workers serve" in checked.stdout) == (0, True)
    assert noted(keepstep, "old") == ["begun with 1", "ended with 1"]
    assert noted(keepstep, "new") == ["begun with 2", "ended with 2"]
    assert shown(keepstep, "newest")["version"] == "2"


def test_a_blocked_run_goes_on_when_fitting_code_comes_beside_workers_whose_code_does_not_fit(
    keepstep: Command,
) -> None:
    with keepstep.worker(module="unversioned"):
        keepstep("start", "order_to_deploy", "--id", "order")
        keepstep.until(lambda: shown(keepstep, "order")["condition"] == "waiting")
    with keepstep.worker(module="broken"):
        keepstep("signal", "order", "go")
        keepstep.until(lambda: shown(keepstep, "order")["condition"] == "blocked")
        with keepstep.worker(module="broken"):
            keepstep.until(lambda: shown(keepstep, "order")["condition"] == "blocked")
            with keepstep.worker(module="patched"):
                keepstep.until(lambda: shown(keepstep, "order")["status"] == "completed")
    assert noted(keepstep, "order") == ["begun", "patched"]
    types = [each["type"] for each in keepstep.json("history", "order")]
    assert types == [
        "workflow_started", "step_completed", "signal_received", "version_marked", "step_completed",
        "workflow_completed",
    ]  # fmt: skip
