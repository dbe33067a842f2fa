"""Trace: the story of a simulation, line by line, for whoever looks into a failing seed."""

from __future__ import annotations

from collections.abc import Callable


class Trace:
    """Prints lines with the virtual time before them; ``write=None`` keeps silent."""

    def __init__(self, seconds: Callable[[], float], write: Callable[[str], None] | None = None) -> None:
        self._seconds = seconds
        self._write = write

    def __call__(self, line: str) -> None:
        if self._write is not None:
            self._write(f"{self._seconds():12.6f}  {line}")
