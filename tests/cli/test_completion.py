"""Shells complete commands, ids of runs and schedules, and names of workflows; what cannot be asked offers nothing."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from keepstep import Engine
from tests.cli.command import Command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


async def make_schedule(folder: Path) -> None:
    async with Engine(f"sqlite:///{folder / 'runs.db'}", workers=False) as engine:
        await engine.schedule("daily", "buy", {"id": 7, "item": "tea"}, cron="0 9 * * *")


def completed(command: Command, *words: str) -> list[str]:
    """What bash is offered for the last of the words."""
    command.environment |= {
        "_KEEPSTEP_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["keepstep", *words]),
        "COMP_CWORD": str(len(words)),
    }
    try:
        asked = command.begin()
        said, complaints = asked.communicate(timeout=20)
    finally:
        del command.environment["_KEEPSTEP_COMPLETE"]
    assert complaints == ""
    return [line.partition(",")[2] for line in said.splitlines() if line]


@pytest.mark.parametrize(
    ("shell", "said"), [("bash", "complete -o"), ("zsh", "#compdef keepstep"), ("fish", "complete ")]
)
def test_a_shell_gets_a_script(command: Command, shell: str, said: str) -> None:
    printed: subprocess.CompletedProcess[str] = command("completion", shell)
    assert printed.returncode == 0, printed.stderr
    assert said in printed.stdout
    assert command("completion", "csh").returncode == 2


def test_ids_and_names_are_offered_from_the_database(command: Command) -> None:
    with command.worker():
        for id in ("order-1", "order-2", "other's"):
            command("start", "buy", "--input", '{"id": 7, "item": "tea"}', "--id", id)
        asyncio.run(make_schedule(command.folder))
        assert completed(command, "show", "order-") == ["order-2", "order-1"]
        assert completed(command, "signal", "other\\'") == ["other's"]
        assert completed(command, "start", "bu") == ["buy"]
        assert completed(command, "schedules", "show", "da") == ["daily"]
    assert completed(command, "sched") == ["schedules"]


def test_a_database_that_is_not_there_offers_nothing(command: Command) -> None:
    assert completed(command, "show", "a") == []
    assert not (command.folder / "runs.db").exists()
