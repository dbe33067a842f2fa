"""Bench: what a workload is handed: its sizes, a fresh database for each trial, and where to put its figures."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from .row import Results, System
from .scale import Scale
from .store import Database, SqliteStore, Store


@dataclass
class Bench:
    """One run of the benchmarks."""

    scale: Scale
    store: Store = field(default_factory=SqliteStore)
    results: Results = field(default_factory=Results)
    only: frozenset[str] = frozenset()
    """Names of the workloads that the peers play, too; with none they play all that they can."""
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Tell the person who waits what is being done."""
        print(f"[{time.monotonic() - self.began:6.0f} s] {text}", file=sys.stderr, flush=True)

    def add(self, key: str, value: float, system: System = System.KEEPSTEP) -> None:
        """Record a figure, and show it."""
        self.results.add(system, self.store.prefix + key, value)
        self.say(f"  {system} {self.store.prefix}{key} = {value:,.3f}")

    def note(self, key: str, text: str, system: System = System.KEEPSTEP) -> None:
        """Say something beside a figure, such as the size when it is not the full one."""
        self.results.note(system, self.store.prefix + key, text)

    def database(self) -> AbstractContextManager[Database]:
        """A fresh database, removed afterwards."""
        return self.store.database()
