"""Ledger: one file, to which all lives of a round append lines, and which nobody else may judge by.

A line is written by one ``write`` to a file opened for appending, so that lines of several processes do not mix. The
kernel keeps what was written when its writer is killed; a line that was cut short by that (``write`` stops at the end
of a page) is no line. Times are those of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec


class Line(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened in a life (0: the nursery)."""

    time: float
    life: int
    kind: str
    facts: list[Any]


class Ledger:
    """The ledger as one life sees it."""

    def __init__(self, path: Path, life: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.life = life

    def write(self, kind: str, *facts: Any) -> None:
        """Append a line; it holds from the moment this returns."""
        line = msgspec.json.encode(Line(time.monotonic(), self.life, kind, list(facts)))
        os.write(self._file, b"\n" + line + b"\n")  # in front: a line that was cut short before it ends here

    def close(self) -> None:
        os.close(self._file)


def read_ledger(path: Path) -> Iterator[Line]:
    """All whole lines, in the order in which they were written."""
    decode = msgspec.json.Decoder(Line).decode
    with open(path, "rb") as file:
        for text in file:
            if text != b"\n":
                try:
                    yield decode(text)
                except msgspec.DecodeError:
                    continue
