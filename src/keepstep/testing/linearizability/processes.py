"""A history of real processes on real SQLite: engines with workers and clients in each, killed by SIGKILL.

Every process writes what its clients call and are answered to a file of its own, before and after; what was in flight
when it was killed has no answer. Another process takes the place of each that was killed. Moments are those of the
machine's monotonic clock, which all its processes share. A seed decides what the clients want and which process is
killed after how many lines, not how the machine interleaves them.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from .recording import Line, read_lines

PROCESSES = 3
KILLS_MAX = 4
LINES_BETWEEN_KILLS_MAX = 60
POLL_SECONDS = 0.005
PATIENCE_SECONDS_MAX = 6.0
"""How long to wait for the moment of a kill; the clients may be through with their calls."""
ENDING_SECONDS_MAX = 60.0


class ProcessEnded(Exception):
    """A process ended that should have lived."""


class _Process:
    """A running ``process`` module. It says when its clients are done, and lives on until its input is closed."""

    def __init__(self, folder: Path, name: str, seed: int, plant: str | None, *, concludes: bool = False) -> None:
        self.name = name
        self.file = folder / f"{name}.jsonl"
        self._log = folder / f"{name}.log"
        command = [sys.executable, "-m", f"{__package__}.process", str(folder), name, str(seed)]
        command += ["--conclude"] if concludes else []
        command += ["--plant", plant] if plant else []
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()

    def has_called(self) -> bool:
        """True if its clients have begun; before that its death would prove little."""
        return self.file.exists() and self.file.stat().st_size > 0

    def check(self) -> None:
        """Raise ``ProcessEnded`` if it does not run."""
        code = self._process.poll()
        if code is not None:
            raise ProcessEnded(f"process {self.name} ended by itself ({code}): {self._log.read_text()[-2000:]}")

    def wait_until_done(self) -> None:
        """Its clients have made all their calls."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"done\n":
            self._process.wait()
            self.check()

    def end(self) -> None:
        self._process.communicate(timeout=ENDING_SECONDS_MAX)


def record_history(seed: int, folder: Path, plant: str | None = None) -> list[Line]:
    """Play the history of that seed in an empty folder. Raises ``ProcessEnded``."""
    chance = random.Random(seed)
    alive = [_Process(folder, f"p{n}", seed, plant) for n in range(1, PROCESSES + 1)]
    try:
        for n in range(chance.randrange(1, KILLS_MAX + 1)):
            _wait_for_lines(folder, chance.randrange(1, LINES_BETWEEN_KILLS_MAX), alive)
            begun = [each for each in alive if each.has_called()]
            if begun:
                victim = chance.choice(begun)
                victim.kill()
                alive.remove(victim)
                alive.append(_Process(folder, f"p{PROCESSES + 1 + n}", seed, plant))
        for each in alive:
            each.wait_until_done()
        alive.append(_Process(folder, "last", seed, plant, concludes=True))
        alive[-1].wait_until_done()
        for each in alive:
            each.end()
    finally:
        for each in alive:
            each.kill()
    return recorded_lines(folder)


def recorded_lines(folder: Path) -> list[Line]:
    """What all processes have recorded so far."""
    return [line for file in sorted(folder.glob("*.jsonl")) for line in read_lines(file)]


def _wait_for_lines(folder: Path, more: int, alive: list[_Process]) -> None:
    """Wait until so many lines more were written, or for a while in which nobody writes any more."""
    wanted = _count_lines(folder) + more
    give_up_at = time.monotonic() + PATIENCE_SECONDS_MAX
    while _count_lines(folder) < wanted and time.monotonic() < give_up_at:
        for each in alive:
            each.check()
        time.sleep(POLL_SECONDS)


def _count_lines(folder: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in folder.glob("*.jsonl"))
