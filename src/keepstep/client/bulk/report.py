"""Report: what became of a bulk, and of each of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from keepstep.client.info import RunInfo

DONE = "done"
ALREADY = "already"
REFUSED = "refused"

REFUSALS_KEPT_MAX = 1000


class BulkOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run."""

    id: str
    """The workflow id."""
    run_id: str
    type: str
    outcome: str
    """``done``, ``already`` (it was so before, and nothing was done) or ``refused``."""
    why: str = ""


class BulkProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a bulk has come."""

    id: str
    """Of the bulk."""
    total: int
    """Runs that fitted when it began. Some may end by themselves before it comes to them."""
    done: int
    already: int
    refused: int
    outcomes: tuple[BulkOutcome, ...]
    """Of the runs since the last call, in the order of their starts."""

    @property
    def runs(self) -> int:
        """How many runs it has been through."""
        return self.done + self.already + self.refused


class BulkReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a bulk has done or, as a dry run, would do."""

    id: str
    """By which it can be repeated, together with ``began_at``."""
    began_at: datetime
    """Runs that were started later are not touched."""
    dry_run: bool
    total: int
    """Runs that fitted when it began."""
    done: int = 0
    already: int = 0
    """It was so before, and nothing was done: a closed run that is to be cancelled, a signal that it has got."""
    refused: int = 0
    refusals: tuple[BulkOutcome, ...] = ()
    """The first 1,000 of them, each with why."""
    sample: tuple[RunInfo, ...] = ()
    """Of a dry run: the first of the runs, as they are."""


class Tally:
    """Counts outcomes."""

    def __init__(self) -> None:
        self.done = self.already = self.refused = 0
        self._refusals: list[BulkOutcome] = []

    def add(self, outcomes: Sequence[BulkOutcome]) -> None:
        for each in outcomes:
            if each.outcome == DONE:
                self.done += 1
            elif each.outcome == ALREADY:
                self.already += 1
            else:
                self.refused += 1
                if len(self._refusals) < REFUSALS_KEPT_MAX:
                    self._refusals.append(each)

    def progress(self, id: str, total: int, outcomes: Sequence[BulkOutcome]) -> BulkProgress:
        return BulkProgress(
            id=id, total=total, done=self.done, already=self.already, refused=self.refused, outcomes=tuple(outcomes)
        )

    def report(self, id: str, total: int, began_at: datetime) -> BulkReport:
        return BulkReport(
            id=id, began_at=began_at, dry_run=False, total=total, done=self.done, already=self.already,
            refused=self.refused, refusals=tuple(self._refusals),
        )  # fmt: skip
