"""The documents become a site in which no link is broken, and whose reference has every public name and command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

import keepstep
from keepstep.cli.command import keepstep as commands

ROOT = Path(__file__).parents[1]


def test_the_site_is_built_without_a_warning_and_its_reference_is_complete(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", f"{tmp_path}/site"]
    built = subprocess.run(
        [*command, "-d", f"{tmp_path}/kept"], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert (built.returncode, built.stderr) == (0, "")
    python = (tmp_path / "site" / "reference" / "python.html").read_text()
    errors = (tmp_path / "site" / "reference" / "errors.html").read_text()
    missing = [name for name in keepstep.__all__ if f'id="keepstep.{name}"' not in python + errors]
    assert missing == ["logger"], "a logger is no name of its own"
    told = (tmp_path / "site" / "reference" / "commands.html").read_text()
    named = commands.list_commands(click.Context(commands))
    assert [name for name in named if f"<h2>keepstep {name}<" not in told] == []


def test_every_document_is_in_the_site() -> None:
    index = (ROOT / "docs" / "index.md").read_text().split()
    documents = {each.relative_to(ROOT / "docs").with_suffix("").as_posix() for each in (ROOT / "docs").rglob("*.md")}
    assert documents - {"index"} <= set(index)
