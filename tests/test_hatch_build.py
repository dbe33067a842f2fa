"""The build hook of the web UI, beside a registry that is out of reach; the real build is what all installations do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import hatch_build
from hatch_build import NODE, SOURCES, CustomBuildHook, NotBuilt, WebUI

ROOT = Path(__file__).parent.parent


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the real sources, on a machine that reaches no registry."""
    shutil.copytree(ROOT / "ui", tmp_path / "ui", ignore=shutil.ignore_patterns("node_modules", "dist"))
    (tmp_path / "src/keepstep/server").mkdir(parents=True)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setattr(hatch_build, "INSTALL", ("ci", "--fetch-retries=0"))
    monkeypatch.delenv("KEEPSTEP_UI", raising=False)
    return tmp_path


class Said:
    """Stands for hatchling's application."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def display_warning(self, text: str) -> None:
        self.warnings.append(text)

    def display_info(self, text: str) -> None:
        pass


def hook(checkout: Path, said: Said | None = None) -> CustomBuildHook:
    unused: Any = None
    return CustomBuildHook(str(checkout), {}, unused, unused, str(checkout), "wheel", said)  # type: ignore[arg-type]


def pretend_built(checkout: Path) -> WebUI:
    ui = WebUI(checkout)
    ui.static.mkdir()
    (ui.static / SOURCES).write_text(ui.hash())
    return ui


def test_what_is_built_asks_for_no_node_and_is_left_alone(checkout: Path) -> None:
    ui, said = pretend_built(checkout), Said()
    assert hook(checkout).dependencies() == []
    hook(checkout, said).initialize("editable", {})
    assert (ui.static / SOURCES).is_file()
    assert said.warnings == []


@pytest.mark.parametrize("changed", ["src/App.svelte", "package-lock.json", "src/new.ts"])
def test_a_change_of_any_source_asks_for_node_and_a_build(checkout: Path, changed: str) -> None:
    ui = pretend_built(checkout)
    (checkout / "ui" / changed).write_text("// other")
    assert not ui.is_current()
    assert hook(checkout).dependencies() == [NODE]


def test_tests_and_fetched_packages_are_no_sources(checkout: Path) -> None:
    ui = pretend_built(checkout)
    for name in ("tests/new.test.ts", "node_modules/svelte/index.js", "dist/index.html"):
        path = checkout / "ui" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("// other")
    assert ui.is_current()


def test_an_installation_out_of_reach_of_the_registry_succeeds_and_says_why_there_is_no_ui(checkout: Path) -> None:
    ui, said = pretend_built(checkout), Said()
    (checkout / "ui/src/main.ts").write_text("// other")
    hook(checkout, said).initialize("editable", {})
    assert not ui.static.exists()
    assert len(said.warnings) == 1
    assert said.warnings[0].startswith("keepstep: installed without its web UI: npm ci failed: ")


def test_a_release_is_not_made_without_its_ui(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPSTEP_UI", "require")
    with pytest.raises(NotBuilt, match="npm ci failed"):
        hook(checkout, Said()).initialize("standard", {})


def test_who_wants_no_ui_fetches_nothing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPSTEP_UI", "skip")
    said = Said()
    assert hook(checkout).dependencies() == []
    hook(checkout, said).initialize("editable", {})
    assert said.warnings == []


def test_an_sdist_is_installed_with_the_ui_that_it_carries(checkout: Path) -> None:
    pretend_built(checkout)
    shutil.rmtree(checkout / "ui")
    assert hook(checkout).dependencies() == []


def test_the_lock_names_no_registry_and_checks_what_it_is_given() -> None:
    packages = json.loads((ROOT / "ui/package-lock.json").read_text())["packages"]
    fetched = {name: each for name, each in packages.items() if name}
    assert fetched
    assert [name for name, each in fetched.items() if "resolved" in each or "integrity" not in each] == []
