"""Workflow code as files: the guard judges by file and line, so its tests write real modules."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

MARK = "# here"


class Sources:
    """A folder of modules that are imported from it and forgotten after the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        file = self.folder / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def module(self, name: str, text: str) -> ModuleType:
        self.write(name, text)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def workflow(self, imports: str, body: str) -> tuple[object, int]:
        """The function ``flow`` made of a body, and the line of the body that is marked with ``# here``."""
        lines = [*imports.splitlines(), "async def flow(order=None):", *textwrap.indent(body, "    ").splitlines()]
        marked = next((number for number, line in enumerate(lines, 1) if MARK in line), 0)
        return self.module("guarded_flow", "\n".join(lines) + "\n").flow, marked


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sources]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield Sources(tmp_path)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]
