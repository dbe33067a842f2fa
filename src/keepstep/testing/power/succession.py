"""Succession: a sync fails, the process dies before it can try again, and another one takes over, before power fails.

The dead process's last transaction is in the kernel's cache and, because its sync failed, on no disk; no later sync
brings it there. A next process that recovers it from the cache builds on what no disk has, and when power fails, all
that was built is lost. So it must have looked at the disk first (``journal.sqlite.log``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from keepstep.testing.virtual import run

from .faults import CHECKPOINT_PAGES, SEED, STEPS, Fault, PlannedTrouble, TroubledLife, listening
from .inspection import Expectation, Finding, enter, inspect
from .ledger import Ledger
from .life import folder_in_memory
from .report import PowerReport
from .snapshot import Snapshot
from .store import Rig
from .survival import Disk, write_files
from .trace import Trace
from .vfs import Call, FileSystem, Remains
from .workload import Workload

STEPS_AFTER = 3
SECONDS_BEFORE_DEATH = 2.0


class Process:
    """A life on a disk that may be in trouble, which is killed if it does not end in time."""

    def __init__(
        self, seed: str, *, trouble: PlannedTrouble | None, files: dict[str, bytes], remains: Remains | None
    ) -> None:
        with folder_in_memory() as folder, listening():
            write_files(files, folder)
            system = FileSystem(folder, seed=seed, trouble=trouble, remains=remains)
            rig = Rig(system, checkpoint_pages=CHECKPOINT_PAGES)
            if remains is None:
                workload = Workload(rig, seed=SEED, steps=STEPS)
            else:
                workload = Workload(rig, seed=seed, steps=STEPS_AFTER, prefix="again-", apart=True)
            run(lambda: _live(workload))
            self.files = {name: (folder / name).read_bytes() for name in system.numbers}
            """What the kernel shows."""
            self.remains = system.remains()
            rig.unplug()
        self._before, self._seed = system.before, seed
        self.trace: Trace = system.trace
        self._snapshots: list[Snapshot] = rig.snapshots
        self._ledger: Ledger = workload.ledger

    def expectation(self) -> Expectation:
        return Expectation(self.trace, self._snapshots, self._ledger)

    def disk(self) -> Disk:
        return Disk(self.trace, self._before, self._seed)


async def _live(workload: Workload) -> None:
    try:
        await asyncio.wait_for(workload.live(), SECONDS_BEFORE_DEATH)
    except TimeoutError:
        """It is killed."""


async def take_over(report: PowerReport, tell: Callable[[PowerReport], None], *, every: int = 1) -> None:
    """Every sync of a life fails for good, or every n-th one; the heir's power fails at each of its promises."""
    calm = await asyncio.to_thread(TroubledLife, None)
    syncs = [number for number, call in enumerate(calm.trouble.calls) if call is Call.SYNC]
    with folder_in_memory() as folder:
        for number in syncs[::every]:
            for finding in await try_succession(number, folder, report):
                enter(report, finding, f"--succession {number}")
            tell(report)


async def try_succession(number: int, folder: Path, report: PowerReport) -> list[Finding]:
    """The sync at this call fails, and all after it, until the process is dead."""
    trouble = PlannedTrouble(Fault(number, "fsync", True), seconds=float("inf"))
    dead = await asyncio.to_thread(Process, f"{number}", trouble=trouble, files={}, remains=None)
    heir = await asyncio.to_thread(Process, f"{number}-heir", trouble=None, files=dead.files, remains=dead.remains)
    report.faults += 1
    expected, disk = heir.expectation(), heir.disk()
    expected.follow(dead.expectation(), dead.trace.place)
    findings = []
    for place in [*heir.trace.promises(), heir.trace.place]:
        disk.advance_to(place)
        for draw in (0, 1):
            findings.append(await inspect(disk.draw(draw), folder, expected, place))
            report.cuts += 1
            report.acknowledged += expected.acknowledged(place)
    return [finding for finding in findings if finding is not None]
