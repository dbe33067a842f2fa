"""The peer: runs ``dbos_app.py`` in the virtual environment of its own, one process a trial, and records what it says.

DBOS runs on its SQLite database with its defaults but for two kindnesses: room for as many threads as there are runs,
and a file in WAL mode (a mode stays with a file), because in SQLite's default rollback mode its own readers and writers
lock each other out for thirty seconds at a time as soon as many runs wait. ``synchronous`` is FULL, as with Keepstep.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from .bench import Bench
from .child import Child
from .row import System

PYTHON = Path(".venv-dbos/bin/python")
APP = "benchmarks/dbos_app.py"


def is_installed() -> bool:
    return PYTHON.exists()


class Trial:
    """A database of its own for DBOS, and the processes that play a role on it."""

    def __init__(self, database: Path) -> None:
        self.database = database.with_name("dbos.db")
        db = sqlite3.connect(self.database)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE seed (grain)")  # an empty file would forget its mode
        db.execute("DROP TABLE seed")
        db.close()

    def play(self, role: str, size: int) -> Child:
        return Child([str(PYTHON), APP, role, str(self.database), str(size)])


def simple(role: str) -> Callable[[Trial, int], float]:
    """A trial that is one process which says one figure."""

    def measure(trial: Trial, size: int) -> float:
        with trial.play(role, size) as child:
            return float(child.hear()["value"])

    return measure


def take_over(trial: Trial, size: int) -> float:
    """From the kill until a new process under the same executor id has done all runs."""
    with trial.play("w5-victim", size) as victim, trial.play("w5-heir", size) as heir:
        heir.hear()
        victim.hear()
        began = time.perf_counter()
        victim.kill()
        heir.tell()
        heir.hear()
        return time.perf_counter() - began


def replay(trial: Trial, size: int) -> float:
    """From the first line of the recovered workflow until it is past its last recorded step."""
    with trial.play("w6-historian", size) as historian:
        historian.hear()
    with trial.play("w6", size) as successor:
        return float(successor.hear()["value"])


def repeat(bench: Bench, key: str, size: int, measure: Callable[[Trial, int], float]) -> None:
    """All trials at full size, or at a tenth if a trial at a tenth says that the full ones would take too long."""
    began = time.perf_counter()
    with bench.database() as database:
        small = measure(Trial(database), max(1, size // 10))
    seconds = (time.perf_counter() - began) * 10 * bench.scale.trials
    if seconds > bench.scale.peer_seconds_max:
        size = max(1, size // 10)
        bench.results.note(System.DBOS, key, f"at a tenth of the size ({size:,})")
        bench.add(key, small, System.DBOS)
    for _ in range(bench.scale.trials - (1 if seconds > bench.scale.peer_seconds_max else 0)):
        with bench.database() as database:
            bench.add(key, measure(Trial(database), size), System.DBOS)


async def measure(bench: Bench) -> None:
    """W1, W2, W3, W5 and W6."""
    scale = bench.scale
    await asyncio.to_thread(measure_all, bench, [
        ("w1.steps", scale.w1_runs, simple("w1")),
        ("w2.step_p50", scale.w2_steps, simple("w2")),
        ("w2.empty_p50", scale.w2_empty_runs, simple("w2-empty")),
        ("w3.signals", scale.w3_runs, simple("w3")),
        ("w5.after_kill", scale.w5_runs, take_over),
        ("w6.replay", scale.w6_steps, replay),
    ])  # fmt: skip


def measure_all(bench: Bench, workloads: list[tuple[str, int, Callable[[Trial, int], float]]]) -> None:
    for key, size, trial in workloads:
        bench.say(f"DBOS: {key} at {size:,}")
        repeat(bench, key, size, trial)
