"""Faults: every call of a life fails, one at a time, in every way that it can, once and for a while.

The life goes on as if nothing were: whoever waits for the store waits longer, whoever opens it tries again. At its end

* everything was acknowledged, and the database says exactly what it says after a life without trouble: nothing is
  lost, nothing is there twice;
* what was refused was reported: an opening was refused, or the journal's log names the trouble;
* power cuts after the trouble, where something was promised and at the end, leave nothing lost and nothing corrupt.

A fault has a name, ``CALL.MANNER.WHILE``, by which it can be made again: call 17, ``short-full``, ``once``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import apsw

from keepstep.testing.virtual import run

from .inspection import Expectation, Finding, Kind, enter, inspect
from .ledger import Ledger
from .life import folder_in_memory
from .report import FINDINGS_MAX, PowerReport
from .snapshot import Snapshot, differing
from .store import Rig
from .survival import Disk
from .trace import Trace
from .vfs import Call, FileSystem, Manner
from .workload import Workload

SEED = "faults"
STEPS = 7
TELL_EVERY = 200
WHILE_SECONDS = 3.0
LIFE_SECONDS_MAX = 600.0
CHECKPOINT_PAGES = 40

log = logging.getLogger("keepstep")


MANNERS = (
    Manner("full", (Call.WRITE,), apsw.SQLITE_FULL),
    Manner("short-full", (Call.WRITE,), apsw.SQLITE_FULL, is_short=True),
    Manner("error", (Call.WRITE,), apsw.SQLITE_IOERR_WRITE),
    Manner("short-error", (Call.WRITE,), apsw.SQLITE_IOERR_WRITE, is_short=True),
    Manner("fsync", (Call.SYNC,), apsw.SQLITE_IOERR_FSYNC),
    Manner("fsync-evicted", (Call.SYNC,), apsw.SQLITE_IOERR_FSYNC, evicts=True),
    Manner("fsync-full", (Call.SYNC,), apsw.SQLITE_FULL),
    Manner("truncate", (Call.TRUNCATE,), apsw.SQLITE_IOERR_TRUNCATE),
    Manner("delete", (Call.DELETE,), apsw.SQLITE_IOERR_DELETE),
    Manner("read", (Call.READ,), apsw.SQLITE_IOERR_READ),
    Manner("open", (Call.OPEN,), apsw.SQLITE_CANTOPEN),
)

BY_NAME = {manner.name: manner for manner in MANNERS}

_FULL_DISK = {Call.WRITE: "full", Call.OPEN: "open"}
DEAD_DISK = {
    Call.READ: "read",
    Call.WRITE: "error",
    Call.SYNC: "fsync",
    Call.TRUNCATE: "truncate",
    Call.DELETE: "delete",
    Call.OPEN: "open",
}
_BESIDE = {"full": _FULL_DISK, "short-full": _FULL_DISK, "fsync-full": _FULL_DISK}
"""How other calls fail while such trouble lasts; where nothing is named, the disk is dead for that while."""


class Fault(NamedTuple):
    """Which call fails, how, and whether everything does for a while."""

    call: int
    manner: str
    lasts: bool

    def __str__(self) -> str:
        return f"{self.call}.{self.manner}.{'while' if self.lasts else 'once'}"

    def check(self, calls: list[Call]) -> Fault:
        """The same, if it can happen to a life of these calls. Raises ``ValueError``."""
        if not 0 <= self.call < len(calls) or calls[self.call] not in BY_NAME[self.manner].calls:
            raise ValueError(f"{self} cannot happen: there is no such call, or it cannot fail in this manner")
        return self

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Raises ``ValueError``."""
        call, manner, how_long = text.split(".")
        if manner not in BY_NAME or how_long not in ("once", "while"):
            raise ValueError(f"{text!r} names no fault; write CALL.MANNER.once or CALL.MANNER.while")
        return cls(int(call), manner, how_long == "while")


class PlannedTrouble:
    """Strikes at one call, and then at all that its manner names until the time is over."""

    def __init__(self, fault: Fault | None, seconds: float = WHILE_SECONDS) -> None:
        self._seconds = seconds
        self.calls: list[Call] = []
        """All that were made."""
        self.struck_at: int | None = None
        self.place: Callable[[], int] = lambda: 0
        self._fault = fault
        self._manner = None if fault is None else BY_NAME[fault.manner]
        self._until = float("-inf")

    def strike(self, call: Call) -> Manner | None:
        self.calls.append(call)
        fault, manner = self._fault, self._manner
        if fault is None or manner is None:
            return None
        now = asyncio.get_running_loop().time()
        if len(self.calls) - 1 == fault.call:
            self.struck_at = self.place()
            self._until = now + self._seconds if fault.lasts else now
            return manner
        if self.struck_at is None or now >= self._until:
            return None
        beside = _BESIDE.get(manner.name, DEAD_DISK).get(call)
        return manner if call in manner.calls else None if beside is None else BY_NAME[beside]


class Words(logging.Handler):
    """Listens to what is reported."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


@contextmanager
def listening() -> Iterator[Words]:
    """The reports of journal and worker go nowhere else in the meantime."""
    words, propagates = Words(), log.propagate
    log.addHandler(words)
    log.propagate = False
    try:
        yield words
    finally:
        log.removeHandler(words)
        log.propagate = propagates


class TroubledLife:
    """One life on a disk with at most one fault."""

    def __init__(self, fault: Fault | None) -> None:
        self.trouble = PlannedTrouble(fault)
        self.error: BaseException | None = None
        with folder_in_memory() as folder, listening() as words:
            system = FileSystem(folder, seed=f"{SEED}.{fault}", trouble=self.trouble)
            self.trouble.place = lambda: system.trace.place
            rig = Rig(system, checkpoint_pages=CHECKPOINT_PAGES)
            workload = Workload(rig, seed=SEED, steps=STEPS)
            try:
                run(lambda: asyncio.wait_for(workload.live(), LIFE_SECONDS_MAX))
            except Exception as error:
                self.error = error
            rig.unplug()
            self.is_reported = words.count > 0 or rig.has_told()
        self.trace: Trace = system.trace
        self.failures: int = rig.failures()
        self.snapshots: list[Snapshot] = rig.snapshots
        self._seed = system.seed
        self._ledger: Ledger = workload.ledger

    def last(self) -> Snapshot:
        """What the database says in the end."""
        return self.snapshots[self.trace.promised_at(self.trace.place) - 1]

    def disk(self) -> Disk:
        return Disk(self.trace, {}, self._seed)

    def expectation(self) -> Expectation:
        return Expectation(self.trace, self.snapshots, self._ledger)

    def places(self) -> list[int]:
        """Where power is cut: when the trouble has begun, at the next promise, and at the end."""
        struck = self.trouble.struck_at
        if struck is None:
            return []
        promises = [place for place in self.trace.promises() if place >= struck]
        return sorted({struck, *promises[:1], self.trace.place})


def enumerate_faults(calls: list[Call]) -> Iterator[Fault]:
    """All that can happen to a life of these calls."""
    for number, call in enumerate(calls):
        for manner in MANNERS:
            if call in manner.calls:
                yield Fault(number, manner.name, False)
                yield Fault(number, manner.name, True)


def misbehaviour(life: TroubledLife, calm: TroubledLife) -> str | None:
    """What a life on a failing disk did wrong, in words."""
    if life.error is not None:
        return f"it ended with {type(life.error).__name__}: {life.error}"
    if life.last() != calm.last():
        tables = ", ".join(differing(life.last(), calm.last()))
        return f"it ended with another content than without the fault, in {tables}"
    if life.failures and not life.is_reported:
        return "statements failed, and nothing was reported"
    return None


async def fail_calls(report: PowerReport, tell: Callable[[PowerReport], None], *, every: int = 1) -> None:
    """The whole enumeration, or every n-th fault of it."""
    calm = await asyncio.to_thread(TroubledLife, None)
    if calm.error is not None:
        raise calm.error
    faults = list(enumerate_faults(calm.trouble.calls))[::every]
    with folder_in_memory() as folder:
        for fault in faults:
            findings = await try_fault(fault, calm, folder, report)
            for finding in findings:
                enter(report, finding, f"--fault {fault}")
            if report.faults % TELL_EVERY == 0:
                tell(report)
            if report.findings >= FINDINGS_MAX:
                return


async def try_fault(fault: Fault, calm: TroubledLife, folder: Path, report: PowerReport) -> list[Finding]:
    """One fault, and power cuts after it."""
    life = await asyncio.to_thread(TroubledLife, fault)
    report.faults += 1
    wrong = misbehaviour(life, calm)
    if wrong is not None:
        return [Finding(Kind.MISBEHAVED, wrong)]
    findings = []
    expected, disk = life.expectation(), life.disk()
    draws = (0, 1) if calm.trouble.calls[fault.call] is Call.SYNC else (1,)  # a sync is what a disk may lose most by
    for place in life.places():
        disk.advance_to(place)
        for draw in draws:
            findings.append(await inspect(disk.draw(draw), folder, expected, place))
            report.cuts += 1
            report.acknowledged += expected.acknowledged(place)
    return [finding for finding in findings if finding is not None]
