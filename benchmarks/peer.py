"""Peer: another engine that plays the same workloads, as programs of its own in a virtual environment of its own.

One process (``dbos_app.py``, ``absurd_app.py``) plays one role in one trial and speaks in lines of JSON.
The roles have the same names with every peer. A workload that would take too long is played at a tenth of its size.
Sleepers (W4) are fewer than Keepstep's from the start, because a peer may have to hold each of them in memory.
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

IDLE_START_SECONDS = 12.0
"""The same where workers are looked at twice that have been idle for four seconds."""


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
        """What of W1 to W6, W9 and W11 the store and the scale have for it."""
        await asyncio.to_thread(self._measure_all, bench, workloads_of(bench))

    def _measure_all(self, bench: Bench, workloads: list[Workload]) -> None:
        for each in workloads:
            bench.say(f"{self.system}: {', '.join(each.keys)} at {each.size:,}")
            self.repeat(bench, each)

    def repeat(self, bench: Bench, workload: Workload) -> None:
        """All trials at full size, or at a tenth if a trial at a tenth says that the full ones would take too long."""
        began = time.perf_counter()
        size, trials_left = workload.size, bench.scale.trials
        tenth = max(1, size // 10)
        small = self._try(bench, tenth, workload)
        seconds = max(0.0, time.perf_counter() - began - workload.start_seconds)
        if seconds * 10 * trials_left > bench.scale.peer_seconds_max:
            self._add(bench, workload, small)
            size = tenth
            trials_left -= 1
        for _ in range(trials_left):
            self._add(bench, workload, self._try(bench, size, workload))
        self._note(bench, workload, size)

    def _add(self, bench: Bench, workload: Workload, figures: Figures) -> None:
        for key, value in zip(workload.keys, figures, strict=True):
            bench.add(key, value, self.system)

    def _note(self, bench: Bench, workload: Workload, size: int) -> None:
        """Beside each figure: what is special with this peer, and the size where it is not the row's."""
        beside = []
        if size != workload.row_size:
            is_tenth = size == max(1, workload.row_size // 10)
            beside.append(f"at a tenth of the size ({size:,})" if is_tenth else f"at {size:,}")
        for key in workload.keys:
            if notes := [*([self.notes[key]] if key in self.notes else []), *beside]:
                bench.note(key, "; ".join(notes), self.system)

    def _try(self, bench: Bench, size: int, workload: Workload) -> Figures:
        with bench.database() as database:
            self.prepare(database)
            return workload.trial(self, database, size)


_SLEEPERS = ("w4.disk", "w4.rss", "w4.memory")

Figures = tuple[float, ...]
Trial = Callable[[Peer, Database, int], Figures]


@dataclass(frozen=True)
class Workload:
    """A trial that says a figure for each of ``keys``. ``row_size`` is Keepstep's size, of which the rows speak."""

    keys: tuple[str, ...]
    size: int
    trial: Trial
    row_size: int
    start_seconds: float = START_SECONDS

    @property
    def name(self) -> str:
        return self.keys[0].partition(".")[0].upper()


def workloads_of(bench: Bench) -> list[Workload]:
    """W1 to W6; on PostgreSQL also W9 and W11. A quick run leaves waiting ones out there, unless they are named."""
    scale = bench.scale

    def one(key: str, size: int, trial: Trial) -> Workload:
        return Workload((key,), size, trial, size)

    workloads = [
        one("w1.steps", scale.w1_runs, simple("w1")),
        one("w2.step_p50", scale.w2_steps, simple("w2")),
        one("w2.empty_p50", scale.w2_empty_runs, simple("w2-empty")),
        one("w3.signals", scale.w3_runs, simple("w3")),
    ]
    is_postgres = isinstance(bench.store, PostgresStore)
    if scale.peer_waits or not is_postgres or bench.only:
        workloads += [
            Workload(_SLEEPERS, scale.w4_peer_runs, sleep_long, scale.w4_runs, IDLE_START_SECONDS),
            one("w5.after_kill", scale.w5_runs, take_over),
            one("w6.replay", scale.w6_steps, replay),
        ]
    if is_postgres:
        workloads.append(one("w9.pickup_p50", scale.w9_runs, pick_up))
        workloads += [one(f"w11.steps_{each}", scale.w1_runs, with_processes(each)) for each in scale.peer_processes]
    return [each for each in workloads if not bench.only or each.name in bench.only]


def simple(role: str) -> Trial:
    """A trial that is one process which says one figure."""

    def measure(peer: Peer, database: Database, size: int) -> Figures:
        with peer.play(database, role, size) as child:
            return (float(child.hear()["value"]),)

    return measure


def sleep_long(peer: Peer, database: Database, runs: int) -> Figures:
    """Bytes of disk for a sleeping run; MiB of a fresh idle worker beside them; bytes of that for each of them."""
    without = idle_worker_bytes(peer, database, 0)
    empty = database.size_bytes()
    with peer.play(database, "w4-sleepers", runs) as sleepers:
        sleepers.hear()
    disk = database.size_bytes() - empty
    beside = idle_worker_bytes(peer, database, runs)
    return disk / runs, beside / 2**20, max(0, beside - without) / runs


def idle_worker_bytes(peer: Peer, database: Database, runs: int) -> int:
    """What a fresh worker takes that has so many runs to look after, all of them asleep."""
    with peer.play(database, "w4-idle", runs) as worker:
        worker.hear()
        return worker.resident_bytes()


def take_over(peer: Peer, database: Database, size: int) -> Figures:
    """From the kill until a new process has done all runs."""
    with peer.play(database, "w5-victim", size) as victim, peer.play(database, "w5-heir", size) as heir:
        heir.hear()
        victim.hear()
        began = time.perf_counter()
        victim.kill()
        heir.tell()
        heir.hear()
        return (time.perf_counter() - began,)


def replay(peer: Peer, database: Database, size: int) -> Figures:
    """A run has recorded its steps in a process that is gone; a new one brings it on."""
    with peer.play(database, "w6-historian", size) as historian:
        historian.hear()
    with peer.play(database, "w6", size) as successor:
        return (float(successor.hear()["value"]),)


def pick_up(peer: Peer, database: Database, runs: int) -> Figures:
    """Milliseconds from handing in a run in one process to its first line in another."""
    with peer.play(database, "worker", 0) as worker:
        worker.hear()
        with peer.play(database, "client", runs) as client:
            client.hear()
        worker.tell()
        delays: list[float] = worker.hear()["delays"]
    return (median(delays) * 1000,)


def with_processes(count: int) -> Trial:
    """Steps a second by so many workers, of runs that another process hands in."""

    def measure(peer: Peer, database: Database, runs: int) -> Figures:
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(peer.play(database, "worker", 0)).hear()
            client = stack.enter_context(peer.play(database, "crowd", runs))
            return (float(client.hear()["value"]),)

    return measure
