"""Inspection: opens what a cut has left as production would, with Python's own SQLite, and looks for what is wrong.

Nothing may be *corrupt*: the store opens (which includes SQLite's own check), ``integrity_check`` is content, and the
whole content of the database is, table by table, what one transaction of the life before the cut had left behind; what
the ledger has about each run agrees with what the port says; and life goes on: a new run starts, and the positions of
the log go on without a gap.

Nothing may be *lost*: that transaction is not older than the last one that was answered for before the cut.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path

import msgspec

from keepstep.journal import Journal, JournalError, NewEvent, NewRun
from keepstep.journal.sqlite import open_sqlite

from .ledger import Ledger
from .report import PowerReport
from .snapshot import Snapshot, differing, take_snapshot
from .store import DATABASE, EPOCH_MICROSECONDS, StandingClock
from .survival import write_files
from .trace import Trace


class Kind(StrEnum):
    """What is wrong."""

    LOST = "lost"
    CORRUPT = "corrupt"
    MISBEHAVED = "misbehaved"


class Finding(msgspec.Struct, frozen=True):
    """Something that must not be."""

    kind: Kind
    words: str


def enter(report: PowerReport, finding: Finding, replay: str) -> None:
    """Count it, with the options that make it again."""
    setattr(report, finding.kind, getattr(report, finding.kind) + 1)
    report.replay.append(f"python -m keepstep.testing.power {replay}  # {finding.kind}: {finding.words}")


_numbers = itertools.count(1)


class Expectation:
    """What must be found after a cut: the life before it."""

    def __init__(self, trace: Trace, snapshots: Sequence[Snapshot], ledger: Ledger) -> None:
        self.trace = trace
        self.snapshots = snapshots
        self._ledger = ledger
        self._before: list[tuple[Expectation, int]] = []

    def follow(self, before: Expectation, place: int) -> None:
        """This life began with what was left of another one, which ended at this place."""
        self._before.append((before, place))

    def ledgers(self, place: int) -> list[tuple[Ledger, int]]:
        """Those of this life and of the ones before, and until where each counts."""
        return [(self._ledger, place)] + [one for before, end in self._before for one in before.ledgers(end)]

    def acknowledged(self, place: int) -> int:
        """How much had been acknowledged."""
        return sum(ledger.acknowledged(end) for ledger, end in self.ledgers(place))

    def judge(self, found: Snapshot, place: int) -> Finding | None:
        """Compare the content of a whole database with that of the transactions that may be the last one."""
        for before, end in self._before:
            wrong = before.judge(self.snapshots[0], end)
            if wrong is not None:
                return wrong
        if not self.snapshots:  # it was cut off before it committed anything
            return None
        sure = self.trace.promised_at(place)
        possible = max(self.trace.possible_at(place), 1)  # an empty file becomes a new journal, as the first did
        if found in self.snapshots[max(sure, 1) - 1 : possible]:
            return None
        if sure == 0 and any(before.judge(found, end) is None for before, end in self._before):
            return None
        if found in self._older(sure):
            return Finding(Kind.LOST, f"transaction {sure} was answered for, and what is there is older")
        tables = ", ".join(differing(found, self.snapshots[max(sure, 1) - 1]))
        return Finding(Kind.CORRUPT, f"what is there was never committed; transaction {sure} differs in {tables}")

    def _older(self, transaction: int) -> list[Snapshot]:
        """All that there was before a transaction."""
        before = [snapshot for each, _ in self._before for snapshot in each.snapshots]
        return before + list(self.snapshots[: max(transaction, 1) - 1])


async def inspect(files: dict[str, bytes], folder: Path, expected: Expectation, place: int) -> Finding | None:
    """Put the files into the folder, which holds nothing else, and recover them."""
    write_files(files, folder)
    path = folder / DATABASE
    try:
        journal = await open_sqlite(path, clock=StandingClock())
    except JournalError as refused:
        return Finding(Kind.CORRUPT, f"it cannot be opened: {refused}")
    try:
        return _look_into(path, expected, place) or await _ask(journal, expected, place) or await _go_on(journal, path)
    except (JournalError, sqlite3.Error, ValueError) as error:  # text and JSON that are none are ValueErrors
        return Finding(Kind.CORRUPT, f"it cannot be read: {type(error).__name__}: {error}")
    finally:
        await journal.close()


def _look_into(path: Path, expected: Expectation, place: int) -> Finding | None:
    with closing(sqlite3.connect(path)) as db:
        (verdict,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            return Finding(Kind.CORRUPT, f"integrity_check says {verdict}")
        return expected.judge(take_snapshot(db), place)


async def _ask(journal: Journal, expected: Expectation, place: int) -> Finding | None:
    wrong = [words for ledger, end in expected.ledgers(place) for words in await ledger.compare(journal, end)]
    return Finding(Kind.LOST, "; ".join(wrong)) if wrong else None


async def _go_on(journal: Journal, path: Path) -> Finding | None:
    """A recovered journal takes new work."""
    name = f"after-{next(_numbers)}"
    await journal.start(
        NewRun(
            run_id=name,
            workflow_id=name,
            namespace="default",
            language="python",
            format=1,
            type="fulfil",
            queue="q",
            events=(NewEvent("started", EPOCH_MICROSECONDS, None, b"after"),),
            started_at=EPOCH_MICROSECONDS,
            input_digest=b"",
        )
    )
    with closing(sqlite3.connect(path)) as db:
        (purged,) = db.execute("SELECT value FROM meta WHERE name = 'log_purged'").fetchone()
        positions = [n for (n,) in db.execute("SELECT n FROM events WHERE n > ? ORDER BY n", (purged,)).fetchall()]
    if positions != list(range(purged + 1, purged + 1 + len(positions))):
        return Finding(Kind.CORRUPT, f"the positions of the log have gaps: {positions}")
    return None
