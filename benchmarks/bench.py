"""Bench: what a workload is handed: its sizes, a fresh folder for each trial, and where to put its figures."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .row import Results, System
from .scale import Scale

FOLDER = Path(".benchmarks")


@dataclass
class Bench:
    """One run of the benchmarks."""

    scale: Scale
    results: Results = field(default_factory=Results)
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Tell the person who waits what is being done."""
        print(f"[{time.monotonic() - self.began:6.0f} s] {text}", file=sys.stderr, flush=True)

    def add(self, key: str, value: float, system: System = System.KEEPSTEP) -> None:
        """Record a figure, and show it."""
        self.results.add(system, key, value)
        self.say(f"  {system} {key} = {value:,.3f}")

    @contextmanager
    def database(self) -> Iterator[Path]:
        """A path for a database on a real disk (a temporary folder may be memory); removed afterwards."""
        FOLDER.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            yield Path(folder).resolve() / "keepstep.db"


def url_of(database: Path) -> str:
    """The database as ``Engine`` wants it named."""
    return f"sqlite:///{database}"
