"""Runs the real command in real processes: forked where one is run to its end, started from nothing where it lives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.cli.stem import Stem

WAIT_SECONDS_MAX = 20.0


def hear_interrupts() -> None:
    """A shell that runs tests in the background has them ignore SIGINT, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@cache
def _grow_stem() -> Stem:
    """One for all tests of this process."""
    return Stem()


class Command:
    """The ``keepstep`` command in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        app = Path(__file__).with_name("app.py").read_text()
        (folder / "app.py").write_text(app)
        self.environment = {**os.environ, "KEEPSTEP_DB": "sqlite:///runs.db", "COLUMNS": "200"}

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with TemporaryFile("w+") as output, TemporaryFile("w+") as complaints:
            files, seconds_max = (output.fileno(), complaints.fileno()), WAIT_SECONDS_MAX * 2
            code = _grow_stem().run(arguments, self.folder, self.environment, *files, seconds_max)
            output.seek(0)
            complaints.seek(0)
            return subprocess.CompletedProcess(arguments, code, output.read(), complaints.read())

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, without waiting for its end."""
        return subprocess.Popen(
            [sys.executable, "-m", "keepstep", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_interrupts,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)

    def start_worker(self, *options: str, module: str = "app") -> subprocess.Popen[str]:
        """A worker that has said that it is ready."""
        worker = subprocess.Popen(
            [sys.executable, "-u", "-m", "keepstep", "worker", module, *options],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert worker.stdout is not None
        assert "keepstep worker" in worker.stdout.readline()
        return worker

    @contextmanager
    def worker(self, *options: str, module: str = "app") -> Iterator[subprocess.Popen[str]]:
        worker = self.start_worker(*options, module=module)
        try:
            yield worker
        finally:
            worker.kill()
            worker.wait()

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not holds():
            assert time.monotonic() < deadline, "it did not come to hold"
            time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
