"""A terminal in which a command runs: what a person sees there, and the keys that one presses."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.command import WAIT_SECONDS_MAX, Command


class Terminal:
    """One command in a terminal of its own, 120 columns wide."""

    def __init__(self, command: Command, *arguments: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keepstep", *arguments],
            cwd=command.folder,
            env={**command.environment, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50", **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def until(self, text: str) -> None:
        """Wait until it was shown."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} was not shown; what was: {self.seen[-2000:]!r}"
            assert self._read(), f"{text!r} was not shown before it ended; what was: {self.seen[-2000:]!r}"

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Wait until it ends by itself; its exit code."""
        while self._read():
            """All that it shows is read, so that it does not wait for that."""
        return self.process.wait(timeout=WAIT_SECONDS_MAX)

    def _read(self) -> bool:
        """Whether there may be more."""
        if select.select([self._ours], [], [], 0.2)[0]:
            try:
                read = os.read(self._ours, 65536)
            except OSError:  # Linux says so when the other end was closed
                return False
            self.seen += read.decode(errors="replace")
            return bool(read)
        return self.process.poll() is None

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@contextmanager
def terminal(command: Command, *arguments: str, **environment: str) -> Iterator[Terminal]:
    """Closed, and its command killed, with the block."""
    opened = Terminal(command, *arguments, **environment)
    try:
        yield opened
    finally:
        opened.close()
