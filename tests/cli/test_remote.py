"""Commands are clients of a server: all of them that need no database take its address for ``--db``, and a key."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.command import Command, free_port

ORDER = '{"id": 7, "item": "tea"}'


@pytest.fixture
def here(tmp_path: Path) -> Command:
    """Where the database is."""
    command = Command(tmp_path)
    command.environment["PYTHONUNBUFFERED"] = "1"
    return command


@contextmanager
def serving(here: Command, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A server, killed at the end."""
    server = here.begin("server", "--http", str(port), "--app", "app", *options)
    try:
        assert server.stdout is not None
        assert str(port) in server.stdout.readline()
        yield server
    finally:
        server.kill()
        server.communicate()


@contextmanager
def client_of(here: Command, port: int, key: str = "") -> Iterator[Command]:
    """The command, somewhere else, with no database and no code."""
    (folder := here.folder / "elsewhere").mkdir(exist_ok=True)
    far = Command(folder)
    (folder / "app.py").unlink()
    far.environment |= {"KEEPSTEP_DB": f"http://127.0.0.1:{port}", "KEEPSTEP_KEY": key}
    yield far
    assert not list(folder.glob("*.db*"))


def test_a_run_is_started_spoken_to_and_looked_at_from_elsewhere(here: Command) -> None:
    port = free_port()
    with serving(here, port), client_of(here, port) as far:
        refused = far("start", "buy", "--input", '{"id": "x"}')
        assert (refused.returncode, "order" in refused.stderr) == (2, True)
        assert far("start", "buy", "--input", ORDER, "--id", "o").returncode == 0
        far.until(lambda: bool(far.json("tasks")))
        [task] = far.json("tasks")
        assert far("complete", task["token"], '"ben"').returncode == 0
        assert far("signal", "o", "pieces", "1").returncode == 0
        far.until(lambda: far.json("show", "o")["status"] == "completed")
        assert [run["id"] for run in far.json("list", "Status = 'completed'")] == ["o"]
        assert [event["type"] for event in far.json("history", "o")][-1] == "workflow_completed"
        assert far.json("schedules", "list") == []
        assert far("queues", "pause", "slow").returncode == 0
        assert far("doctor").returncode == 0
        assert far.json("top")["newest"][0]["id"] == "o"
        assert far("start", "break_down", "--id", "b", "--wait").returncode == 1
        assert far.json("show", "b")["status"] == "failed"
        assert far("retry", "b").returncode == 0
        assert far("terminate", "nobody").returncode == 2


def test_a_step_that_was_cut_off_with_its_server_is_resolved_from_elsewhere(here: Command) -> None:
    port = free_port()
    with client_of(here, port) as far:
        with serving(here, port):
            assert far("start", "pay_once", "--id", "once").returncode == 0
            here.until(lambda: (here.folder / "pay-was-called").exists())
        with serving(here, port):
            far.until(lambda: far.json("show", "once")["condition"] == "uncertain")
            [wait] = far.json("show", "once")["waiting_for"]
            assert far("resolve", "once", wait["key"], "--value", '"paid by hand"').returncode == 0
            far.until(lambda: far.json("show", "once")["status"] == "completed")


def test_a_key_opens_what_its_role_may(here: Command) -> None:
    port = free_port()
    assert here("list").returncode == 2
    key = here("keys", "create", "look", "--role", "read").stdout.strip()
    with serving(here, port, "--require-keys"):
        with client_of(here, port) as far:
            refused = far("list")
            assert (refused.returncode, "show a key" in refused.stderr) == (2, True)
        with client_of(here, port, key) as far:
            assert far.json("list") == []
            refused = far("start", "buy", "--input", ORDER)
            assert (refused.returncode, "this needs operate" in refused.stderr) == (2, True)
            assert key not in refused.stderr


def test_what_needs_the_database_says_so(here: Command) -> None:
    port = free_port()
    with client_of(here, port) as far:
        for words in (("keys", "list"), ("server",), ("promote", "--to", "sqlite:///x.db")):
            refused = far(*words)
            assert refused.returncode == 2, words
        assert "needs the database itself" in far("keys", "list").stderr
        (far.folder / "app.py").write_text((here.folder / "app.py").read_text())
        assert "no worker can stand" in far("worker", "app").stderr
