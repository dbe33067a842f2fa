"""``keepstep init`` makes a project whose tests pass, whose program runs, and which is not written over."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli.command import Command

FILES = ["app.py", "test_app.py", "pyproject.toml", "README.md", ".gitignore"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def in_project(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_a_new_project_runs_and_its_tests_pass(command: Command) -> None:
    made = command("init", "My Shop!")
    assert (made.returncode, made.stderr) == (0, "")
    assert "keepstep dev app.py" in made.stdout
    project = command.folder / "My Shop!"
    assert sorted(each.name for each in project.iterdir()) == sorted(FILES)
    assert tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"] == "my-shop"
    tested = in_project(project, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout
    ran = in_project(project, "app.py")
    assert "order-1: payment of order-1, picked by Ada" in ran.stdout, ran.stderr
    assert (project / "keepstep.db").exists()


def test_what_is_there_is_not_written_over_unless_that_is_wanted(command: Command) -> None:
    before = (command.folder / "app.py").read_text()
    refused = command("init")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "app.py of" in refused.stderr
    assert "--force" in refused.stderr
    assert not (command.folder / "README.md").exists()
    assert (command.folder / "app.py").read_text() == before
    assert command("init", "--force").returncode == 0
    assert "def fulfil" in (command.folder / "app.py").read_text()


def test_a_folder_that_cannot_be_made_is_refused(command: Command) -> None:
    refused = command("init", "app.py/project")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "cannot be written" in refused.stderr
