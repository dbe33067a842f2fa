"""``keepstep init``: a project to begin with."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

from keepstep.journal import InvalidInput

TEMPLATES = {
    "app.py": "app.py",
    "test_app.py": "test_app.py",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
}
"""Files of a project, and what they are made from, which has ``.template`` behind its name."""


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--force", is_flag=True, help="Write over files that are there.")
def init_command(folder: Path, force: bool) -> int:
    """Make a project in FOLDER, by default the current one: a workflow with its steps, and tests of it."""
    there = [name for name in TEMPLATES if (folder / name).exists()]
    if there and not force:
        raise InvalidInput(
            f"{', '.join(there)} of {folder.absolute()} would be written over; name an empty folder, or say --force"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in _project(_name_of(folder)).items():
            (folder / name).write_text(text)
    except OSError as error:
        raise InvalidInput(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    for name in TEMPLATES:
        click.echo(f"wrote {folder / name}")
    where = "" if folder == Path() else f"cd {folder} && "
    click.echo(f"\nNext: {where}keepstep dev app.py    (and: pytest)")
    return 0


def _name_of(folder: Path) -> str:
    """As packages are named (PyPA, *Names and normalization*)."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    return name or "orders"


def _project(name: str) -> dict[str, str]:
    templates = files(__package__) / "project"
    return {
        file: (templates / f"{template}.template").read_text().replace("NAME", name)
        for file, template in TEMPLATES.items()
    }
