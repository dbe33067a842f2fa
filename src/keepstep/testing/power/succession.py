"""Succession: the disk dies under a process, the process dies of it, an heir takes over on a disk that works again, and
then power fails.

The disk dies at every call of a life: no call works any more. Where that call was a sync, the dead process's last
transaction is in the kernel's cache and, because its sync failed, on no disk; no later sync brings it there. An heir
that recovers it from the cache builds on what no disk has, and when power fails, all that was built is lost. So it must
have looked at the disk first (``journal.sqlite.log``). Where the call was a write, the kernel has still to write what
came before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from keepstep.testing.virtual import run

from .faults import CHECKPOINT_PAGES, DEAD_DISK, SEED, STEPS, TELL_EVERY, Fault, PlannedTrouble, TroubledLife, listening
from .inspection import Expectation, Finding, enter, inspect
from .ledger import Ledger
from .life import folder_in_memory
from .report import FINDINGS_MAX, PowerReport
from .snapshot import Snapshot
from .store import Rig
from .survival import Disk, write_files
from .trace import Trace
from .vfs import FileSystem, Remains
from .workload import Workload

STEPS_AFTER = 3
PROMISES_CUT = 3
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
    """The disk dies at every call, or every n-th one; the heir's power fails at its first promises and at its end."""
    calm = await asyncio.to_thread(TroubledLife, None)
    with folder_in_memory() as folder:
        for number in range(0, len(calm.trouble.calls), every):
            for finding in await try_succession(number, calm, folder, report):
                enter(report, finding, f"--succession {number}")
            if report.faults % TELL_EVERY == 0:
                tell(report)
            if report.findings >= FINDINGS_MAX:
                return


async def try_succession(number: int, calm: TroubledLife, folder: Path, report: PowerReport) -> list[Finding]:
    """The disk dies at this call of a calm life."""
    fault = Fault(number, DEAD_DISK[calm.trouble.calls[number]], lasts=True)
    trouble = PlannedTrouble(fault, seconds=float("inf"))
    dead = await asyncio.to_thread(Process, f"{number}", trouble=trouble, files={}, remains=None)
    heir = await asyncio.to_thread(Process, f"{number}-heir", trouble=None, files=dead.files, remains=dead.remains)
    report.faults += 1
    expected, disk = heir.expectation(), heir.disk()
    expected.follow(dead.expectation(), dead.trace.place)
    findings = []
    for place in [*heir.trace.promises()[:PROMISES_CUT], heir.trace.promises()[-1], heir.trace.place]:
        disk.advance_to(place)
        for draw in (0, 1):
            findings.append(await inspect(disk.draw(draw), folder, expected, place))
            report.cuts += 1
            report.acknowledged += expected.acknowledged(place)
    return [finding for finding in findings if finding is not None]
