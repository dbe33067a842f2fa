"""Life: a workload that was recorded, ready to be cut off anywhere."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from keepstep.journal.sqlite.connection import Synchronous
from keepstep.testing.virtual import run

from .inspection import Expectation
from .ledger import Ledger
from .snapshot import Snapshot
from .store import Rig
from .survival import Disk, write_files
from .trace import Trace
from .vfs import FileSystem
from .workload import Workload

STEPS = 20
STEPS_AFTER_A_CUT = 2

CHECKPOINT_PAGES = (25, 60, 200, 1000)


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder for files that are written all the time and worth nothing."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="keepstep-power-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


class Life:
    """One seeded life, from its first call to its last. ``before`` is what the disk holds when it begins."""

    def __init__(
        self,
        seed: str,
        *,
        synchronous: Synchronous = "FULL",
        plant: str | None = None,
        steps: int = STEPS,
        before: dict[str, bytes] | None = None,
    ) -> None:
        self.seed = seed
        self.before = before or {}
        self._again = before is not None
        with folder_in_memory() as folder:
            write_files(self.before, folder)
            system = FileSystem(folder, seed=seed, plant=plant)
            pages = random.Random(seed).choice(CHECKPOINT_PAGES)
            rig = Rig(system, synchronous=synchronous, checkpoint_pages=pages)
            prefix = "again-" if self._again else ""
            workload = Workload(rig, seed=seed, steps=steps, prefix=prefix, apart=self._again)
            run(workload.live)
            rig.unplug()
        self.trace: Trace = system.trace
        self.snapshots: list[Snapshot] = rig.snapshots
        self.ledger: Ledger = workload.ledger

    def expectation(self) -> Expectation:
        return Expectation(self.trace, self.snapshots, self.ledger)

    def disk(self) -> Disk:
        """A disk that is still to see all of it."""
        return Disk(self.trace, self.before, self.seed)
