"""Peer: another engine that plays the same workloads, as programs of its own in a virtual environment of its own.

One process (``dbos_app.py``, ``absurd_app.py``) plays one role in one trial and speaks in lines of JSON.
The roles have the same names with every peer. A workload that would take too long is played at a tenth of its size.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .bench import Bench
from .child import Child
from .postgres_store import PostgresStore
from .row import System
from .store import Database

PYTHON = Path(".venv-peers/bin/python")

START_SECONDS = 2.0
"""A trial takes at any size, for starting processes and making tables; what is beyond grows with the size."""


def is_installed() -> bool:
    return PYTHON.exists()


@dataclass(frozen=True)
class Peer:
    """Who plays. ``prepare`` makes a fresh database ready for it; ``notes`` go beside its figures, by row."""

    system: System
    app: str
    prepare: Callable[[Database], None]
    notes: dict[str, str]

    def play(self, database: Database, role: str, size: int) -> Child:
        return Child([str(PYTHON), f"benchmarks/{self.app}", role, database.url, str(size)])

    async def measure(self, bench: Bench) -> None:
        """W1, W2, W3, W5 and W6; on PostgreSQL also W9 and W11."""
        scale = bench.scale
        workloads: list[tuple[str, int, Trial]] = [
            ("w1.steps", scale.w1_runs, simple("w1")),
            ("w2.step_p50", scale.w2_steps, simple("w2")),
            ("w2.empty_p50", scale.w2_empty_runs, simple("w2-empty")),
            ("w3.signals", scale.w3_runs, simple("w3")),
        ]
        is_postgres = isinstance(bench.store, PostgresStore)
        if scale.peer_waits or not is_postgres:
            workloads += [("w5.after_kill", scale.w5_runs, take_over), ("w6.replay", scale.w6_steps, replay)]
        if is_postgres:
            workloads.append(("w9.pickup_p50", scale.w9_runs, pick_up))
            workloads += [(f"w11.steps_{each}", scale.w1_runs, with_processes(each)) for each in scale.peer_processes]
        await asyncio.to_thread(self._measure_all, bench, workloads)

    def _measure_all(self, bench: Bench, workloads: list[tuple[str, int, Trial]]) -> None:
        for key, size, trial in workloads:
            bench.say(f"{self.system}: {key} at {size:,}")
            self.repeat(bench, key, size, trial)

    def repeat(self, bench: Bench, key: str, size: int, trial: Trial) -> None:
        """All trials at full size, or at a tenth if a trial at a tenth says that the full ones would take too long."""
        began = time.perf_counter()
        tenth = max(1, size // 10)
        small = self._try(bench, tenth, trial)
        seconds = max(0.0, time.perf_counter() - began - START_SECONDS)
        notes = [self.notes[key]] if key in self.notes else []
        trials_left = bench.scale.trials
        if seconds * 10 * bench.scale.trials > bench.scale.peer_seconds_max:
            notes.append(f"at a tenth of the size ({tenth:,})")
            bench.add(key, small, self.system)
            size = tenth
            trials_left -= 1
        for _ in range(trials_left):
            bench.add(key, self._try(bench, size, trial), self.system)
        if notes:
            bench.note(key, "; ".join(notes), self.system)

    def _try(self, bench: Bench, size: int, trial: Trial) -> float:
        with bench.database() as database:
            self.prepare(database)
            return trial(self, database, size)


Trial = Callable[[Peer, Database, int], float]


def simple(role: str) -> Trial:
    """A trial that is one process which says one figure."""

    def measure(peer: Peer, database: Database, size: int) -> float:
        with peer.play(database, role, size) as child:
            return float(child.hear()["value"])

    return measure


def take_over(peer: Peer, database: Database, size: int) -> float:
    """From the kill until a new process has done all runs."""
    with peer.play(database, "w5-victim", size) as victim, peer.play(database, "w5-heir", size) as heir:
        heir.hear()
        victim.hear()
        began = time.perf_counter()
        victim.kill()
        heir.tell()
        heir.hear()
        return time.perf_counter() - began


def replay(peer: Peer, database: Database, size: int) -> float:
    """A run has recorded its steps in a process that is gone; a new one brings it on."""
    with peer.play(database, "w6-historian", size) as historian:
        historian.hear()
    with peer.play(database, "w6", size) as successor:
        return float(successor.hear()["value"])


def pick_up(peer: Peer, database: Database, runs: int) -> float:
    """Milliseconds from handing in a run in one process to its first line in another."""
    with peer.play(database, "worker", 0) as worker:
        worker.hear()
        with peer.play(database, "client", runs) as client:
            client.hear()
        worker.tell()
        delays: list[float] = worker.hear()["delays"]
    return median(delays) * 1000


def with_processes(count: int) -> Trial:
    """Steps a second by so many workers, of runs that another process hands in."""

    def measure(peer: Peer, database: Database, runs: int) -> float:
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(peer.play(database, "worker", 0)).hear()
            client = stack.enter_context(peer.play(database, "crowd", runs))
            return float(client.hear()["value"])

    return measure
