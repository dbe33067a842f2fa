"""Keys are made, get old, and are replaced from the command line; nobody is ever shown what he has no key for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command

SECRET = "a-word-of-nobody-elses"


@pytest.fixture
def keepstep(tmp_path: Path) -> Command:
    command = Command(tmp_path)
    command.environment["KEEPSTEP_KEYS"] = "keys"
    (tmp_path / "keys").write_text(command("new-key", "k1").stdout)
    return command


def without_keys(folder: Path) -> Command:
    command = Command(folder)
    command.environment.pop("KEEPSTEP_KEYS", None)
    return command


def test_a_run_that_was_started_sealed_is_shown_in_words_to_who_has_no_key(keepstep: Command, tmp_path: Path) -> None:
    assert keepstep("start", "anything", "--input", f'"{SECRET}"', "--id", "a").returncode == 0
    assert SECRET in keepstep("history", "a").stdout
    blind = without_keys(tmp_path)
    shown = blind("history", "a").stdout + blind("show", "a").stdout + blind("list").stdout
    assert "encrypted with key 'k1'" in shown
    assert SECRET not in shown
    assert "\ufffd" not in shown
    assert "\\x" not in shown


def test_rotation_is_a_new_line_a_command_and_one_line_less(keepstep: Command, tmp_path: Path) -> None:
    for n in range(3):
        assert keepstep("start", "anything", "--input", f'"{SECRET}"', "--id", f"run-{n}").returncode == 0
    keys = tmp_path / "keys"
    second = keepstep("new-key", "k2").stdout
    keys.write_text(keys.read_text() + second)
    counted = keepstep("reencrypt", "--dry-run")
    assert counted.stdout == "would seal 6 values with key 'k2': 6 that were under key 'k1'\n"
    assert keepstep("reencrypt", "--from", "k1").stdout == "sealed 6 values with key 'k2': 6 that were under key 'k1'\n"
    again = keepstep("reencrypt")
    assert (again.returncode, again.stdout) == (
        0, "sealed 0 values with key 'k2'; all of them are under 'k2' already\n"
    )  # fmt: skip
    keys.write_text(second)
    assert SECRET in keepstep("history", "run-2").stdout


def test_what_no_key_is_there_for_is_told_and_left(keepstep: Command, tmp_path: Path) -> None:
    assert keepstep("start", "anything", "--id", "a").returncode == 0
    (tmp_path / "keys").write_text(keepstep("new-key", "k2").stdout)
    refused = keepstep("reencrypt")
    assert refused.returncode == 1
    assert "2 values could not be read, and are as they were" in refused.stderr
    assert "2 values are left under key 'k1'" in refused.stderr


@pytest.mark.parametrize(
    ("command", "variable"), [("reencrypt", "KEEPSTEP_KEYS"), ("sweep-blobs", "KEEPSTEP_BLOBS")]
)  # fmt: skip
def test_a_command_says_which_variable_it_needs(tmp_path: Path, command: str, variable: str) -> None:
    refused = without_keys(tmp_path)(command)
    assert (refused.returncode, variable in refused.stderr) == (2, True)


def test_blobs_are_swept_from_the_command_line(keepstep: Command, tmp_path: Path) -> None:
    keepstep.environment["KEEPSTEP_BLOBS"] = "blobs"
    large = '"' + "x" * 100_000 + '"'
    assert keepstep("start", "anything", "--input", large, "--id", "a").returncode == 0
    assert len([file for file in (tmp_path / "blobs").rglob("*") if file.is_file()]) == 1
    assert keepstep("sweep-blobs").stdout.startswith("removed 0 of 1 blobs, 0 of 100,")
    for file in (tmp_path / "blobs").rglob("*"):
        if file.is_file():
            file.unlink()
    missing = keepstep("sweep-blobs")
    assert missing.returncode == 1
    assert "1 blobs that the database refers to are not there" in missing.stderr


def test_a_check_reads_sealed_runs_with_the_keys_and_names_the_key_without(keepstep: Command, tmp_path: Path) -> None:
    assert keepstep("start", "wait_for_webhook", "--id", "a").returncode == 0
    checked = keepstep("check", "app")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    blind = without_keys(tmp_path)("check", "app")
    assert blind.returncode == 1
    assert "encrypted with key 'k1'" in blind.stdout + blind.stderr


def test_the_doctor_tells_which_keys_are_there_and_what_is_wrong_with_them(keepstep: Command, tmp_path: Path) -> None:
    keepstep.environment["KEEPSTEP_BLOBS"] = "blobs"
    assert keepstep("start", "anything", "--id", "a").returncode == 0
    said = keepstep("doctor").stdout
    assert "KEEPSTEP_KEYS: 'k1'; 'k1' writes" in said
    assert "with nothing in it yet" in said
    (tmp_path / "keys").chmod(0o640)
    assert "chmod 600 keys" in keepstep("doctor").stdout
    (tmp_path / "keys").chmod(0o600)
    assert "chmod" not in keepstep("doctor").stdout
    (tmp_path / "keys").write_text("k1 short\n")
    ill = keepstep("doctor")
    assert ill.returncode == 1
    assert "the codec of the environment cannot be made: key 'k1'" in ill.stdout


def test_a_run_that_is_parked_for_its_key_is_shown_with_what_is_missing(keepstep: Command, tmp_path: Path) -> None:
    assert keepstep("start", "wait_for_webhook", "--id", "a").returncode == 0
    mine = (tmp_path / "keys").read_text()
    (tmp_path / "keys").write_text(keepstep("new-key", "k2").stdout)
    with keepstep.worker():
        keepstep.until(lambda: "blocked" in keepstep("list").stdout)
        shown = keepstep("show", "a").stdout
        assert "It is blocked: event 1 (workflow_started) cannot be read: it is encrypted with key 'k1'" in shown
        assert "It goes on by itself when a worker has what is missing." in shown
        assert "Input: <encrypted with key 'k1'>" in shown
        blind = without_keys(tmp_path)("show", "a")
        assert "what it waits for is encrypted with key 'k2', which cannot be read here" in blind.stdout, blind.stderr
        (tmp_path / "keys").write_text(mine + (tmp_path / "keys").read_text())
        keepstep.until(lambda: "It waits for the callback" in keepstep("show", "a").stdout)
