"""Child: a process of the benchmark that says things as lines of JSON and can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parent.parent
SILENCE_SECONDS_MAX = 180


class ChildFailed(Exception):
    """A child ended without saying what it should have said."""


class Child:
    """``with Child([...]) as child: child.hear()``; it is dead and gone after the block, whatever happens."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, bufsize=1
        )

    @classmethod
    def of_module(cls, module: str, *arguments: object) -> Child:
        """A child that runs ``python -m benchmarks.MODULE``."""
        return cls([sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)])

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self.process.pid

    def hear(self) -> dict[str, Any]:
        """The next thing that the child says. Raises ``ChildFailed`` if it ends, or stays silent for too long."""
        assert self.process.stdout is not None
        deadline = threading.Timer(SILENCE_SECONDS_MAX, self.process.kill)
        deadline.start()
        line = self.process.stdout.readline()
        deadline.cancel()
        if not line:
            raise ChildFailed(
                f"{' '.join(self.command)} ended with code {self.process.wait()} and said nothing "
                f"(it is killed after {SILENCE_SECONDS_MAX} s of silence)"
            )
        said: dict[str, Any] = json.loads(line)
        return said

    def resident_bytes(self) -> int:
        """The memory that it has now."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except FileNotFoundError:  # not Linux
            asked = subprocess.run(
                ["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, text=True, check=True
            )
            return int(asked.stdout) * 1024
        return pages * os.sysconf("SC_PAGE_SIZE")

    def tell(self) -> None:
        """Let a waiting child go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def freeze(self) -> None:
        """Stop it without ending it: nobody can see that it does not work any more."""
        os.kill(self.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()


def say(**what: Any) -> None:
    """In the child: say something to the parent."""
    print(json.dumps(what), flush=True)


def wait_for_go() -> None:
    """In the child: wait for the parent's word."""
    sys.stdin.readline()
