"""What ``keepstep worker`` tells machines, and ``keepstep history`` tells people."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command

APP = """
import keepstep
from keepstep import step, workflow

@step
async def say_it() -> None:
    keepstep.logger.warning("in a step")

@workflow
async def tell_all() -> None:
    keepstep.note("a note for people")
    await say_it()
    keepstep.logger.info("at the end")
"""


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    command = Command(tmp_path)
    (tmp_path / "telling.py").write_text(APP)
    return command


def test_logs_are_json_lines_with_the_run_and_the_step(keepstep: Command) -> None:
    assert keepstep("start", "tell_all", "--id", "told").returncode == 0
    arguments = [sys.executable, "-u", "-m", "keepstep", "worker", "telling.py", "--log-format", "json"]
    log = keepstep.folder / "log"
    with log.open("w") as errors:
        worker = subprocess.Popen(
            arguments, cwd=keepstep.folder, env=keepstep.environment, stdout=subprocess.DEVNULL, stderr=errors
        )
    try:
        keepstep.until(lambda: "at the end" in log.read_text())
        keepstep.until(lambda: keepstep.json("show", "told")["status"] == "completed")
    finally:
        worker.kill()
        worker.wait()
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    said = {each["message"]: each for each in lines}
    run_id = keepstep.json("show", "told")["run_id"]
    assert said["in a step"]["step_key"] == "say_it"
    assert said["in a step"]["level"] == "warning"
    assert said["at the end"]["workflow"] == "tell_all"
    assert {each["run_id"] for each in (said["in a step"], said["at the end"])} == {run_id}
    history = keepstep("history", "told").stdout.splitlines()
    [note] = [line for line in history if "note_added" in line]
    assert 'text="a note for people"' in note
