"""Runs: many seeds, in this process or in several others.

What the others are told to do must be found in a module that they can import, which ``__main__`` is not.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Generator, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from .plants import planted
from .simulation import Report, simulate
from .stores import MEMORY, PREFIX, lie_in
from .world import bury_quietly

SEEDS_AT_ONCE = 4
"""So many seeds are handed to a process at a time."""


class Runs:
    """See the module's docstring. ``plant`` is a known bug, by name, that is in the engine in all of them."""

    def __init__(self, store: str, plant: str | None = None, is_told: bool = False) -> None:
        self._store = store
        self._plant = plant
        self._write = print if is_told else None

    def one(self, seed: int) -> Report:
        with planted(self._plant):
            return simulate(seed, self._store, write=self._write)

    def many(self, seeds: Iterable[int], jobs: int) -> Generator[Report]:
        """Reports in the order of the seeds."""
        if jobs == 1:
            yield from map(self.one, seeds)
            return
        spawn = multiprocessing.get_context("spawn")
        with TemporaryDirectory(prefix=PREFIX, dir=MEMORY) as folder, spawn.Pool(jobs, _begin, (folder,)) as pool:
            yield from pool.imap(self.one, seeds, chunksize=SEEDS_AT_ONCE)


def _begin(folder: str) -> None:
    """What a process does before its first seed. It may be killed in the middle of one, and then clears up nothing."""
    gc.freeze()
    bury_quietly()
    lie_in(Path(folder))
