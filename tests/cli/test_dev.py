"""``keepstep dev`` as a real process: runs go on with the code as it is saved, whatever state that is in, or dies."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.cli.command import Command, free_port

APP = """
import keepstep
from keepstep import step, workflow


@step
async def say_while_developed(word: str) -> str:
    return f"old {word}"


@workflow
async def run_while_developed(word: str) -> str:
    await keepstep.receive("go")
    return await say_while_developed(word)
"""
BROKEN = APP + "def broken(:\n"


class Developing:
    """The command while somebody writes ``written.py``."""

    def __init__(self, folder: Path) -> None:
        self.command = Command(folder)
        self.port = free_port()
        self.lines: list[str] = []
        self.write(APP)
        self.process = self.command.begin("dev", "written.py", "--http", f"{self.port}")
        for stream in (self.process.stdout, self.process.stderr):
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: Iterator[str]) -> None:
        self.lines.extend(iter(stream))

    def write(self, text: str) -> None:
        (self.command.folder / "written.py").write_text(text)

    def heard(self, pattern: str, times: int = 1) -> list[str]:
        """Wait until it has said that so often; what the pattern's group has matched."""
        self.command.until(lambda: len(self._found(pattern)) >= times)
        return self._found(pattern)

    def _found(self, pattern: str) -> list[str]:
        return [found[1] for line in list(self.lines) if (found := re.search(pattern, line))]

    def workers(self, count: int) -> list[int]:
        """The process ids of all workers so far."""
        return [int(pid) for pid in self.heard(r"^keepstep worker (\d+): run_while_developed", count)]

    def status(self, id: str) -> str:
        run = self.command.json("show", id)
        return str(run["condition"] if run["status"] == "running" else run["status"])


@pytest.fixture
def developing(tmp_path: Path) -> Iterator[Developing]:
    developing = Developing(tmp_path)
    try:
        yield developing
    finally:
        developing.process.kill()
        developing.process.wait()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_run_goes_on_with_the_code_as_it_is_saved_and_a_broken_file_stops_nobody(developing: Developing) -> None:
    command = developing.command
    [first] = developing.workers(1)
    assert "shows every run" in developing.lines[0]
    for id in ("one", "two"):
        command("start", "run_while_developed", "--input", '"word"', "--id", id)
        command.until(lambda id=id: developing.status(id) == "waiting")  # type: ignore[misc]
    assert "<html" in httpx2.get(f"http://127.0.0.1:{developing.port}/").text
    developing.write(BROKEN)
    developing.heard("(SyntaxError)")
    developing.heard("(the worker before it goes on)")
    command("signal", "one", "go")
    command.until(lambda: developing.status("one") == "completed")
    developing.write(APP.replace("old {word}", "new {word}"))
    assert developing.workers(2)[0] == first
    command.until(lambda: not is_alive(first))
    command("signal", "two", "go")
    command.until(lambda: developing.status("two") == "completed")
    assert "old word" in command("history", "one").stdout
    assert "new word" in command("history", "two").stdout


def test_runs_that_the_saved_code_does_not_fit_are_named(developing: Developing) -> None:
    command = developing.command
    developing.workers(1)
    command("start", "run_while_developed", "--input", '"word"', "--id", "asleep")
    command.until(lambda: developing.status("asleep") == "waiting")
    command("signal", "asleep", "another")
    command.until(lambda: "signal_received" in command("history", "asleep").stdout)
    developing.write(
        APP.replace("await keepstep.receive", 'await say_while_developed("more")\n    await keepstep.receive')
    )
    developing.workers(2)
    command("signal", "asleep", "go")
    command.until(lambda: developing.status("asleep") == "completed")
    command("start", "run_while_developed", "--input", '"word"', "--id", "begun")
    command.until(lambda: developing.status("begun") == "waiting")
    developing.write(APP)
    developing.heard("(open runs do not fit the code)")
    developing.heard("(begun) +at seq 2")


def test_a_worker_that_is_killed_is_followed_by_another(developing: Developing) -> None:
    [worker] = developing.workers(1)
    os.kill(worker, signal.SIGKILL)
    developing.heard("(ended by itself) .signal 9")
    assert len(set(developing.workers(2))) == 2


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_it_is_told_to_end_or_killed(developing: Developing, how: signal.Signals) -> None:
    [worker] = developing.workers(1)
    developing.process.send_signal(how)
    developing.process.wait(timeout=20)
    developing.command.until(lambda: not is_alive(worker))
    assert developing.process.returncode == (0 if how != signal.SIGKILL else -signal.SIGKILL)
    with socket.create_server(("127.0.0.1", developing.port)):
        """Nobody else has the port."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.py"], "there is no file nowhere.py"),
        (["app.py", "--http", "0.0.0.0:8710"], "keepstep server --app"),
        (["app.py", "--watch", "nowhere"], "there is no nowhere"),
        (["app.py", "--db", "http://127.0.0.1:1"], "is a server itself"),
    ],
)
def test_what_cannot_be_developed_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    refused: subprocess.CompletedProcess[str] = Command(tmp_path)("dev", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr


def test_a_port_that_others_have_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = Command(tmp_path)("dev", "app.py", "--http", f"{taken.getsockname()[1]}")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "choose another --http" in refused.stderr
