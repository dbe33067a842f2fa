"""Bulk: what application code and operators say to many runs at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from keepstep.client.handle import signal_payload
from keepstep.client.info import run_info
from keepstep.client.searching import read_filter
from keepstep.journal import InvalidInput, Journal
from keepstep.journal.search import EVERYTHING, Predicate
from keepstep.runtime.data import checked_name, plain_text
from keepstep.runtime.handler import Signal, handler_name
from keepstep.worker.observer import Observers

from .report import ALREADY, BulkOutcome, BulkProgress, BulkReport, Tally
from .stretch import Stretch, open_runs, retriable_runs
from .walk import pages, say_to_all
from .word import Letter, Retrial, Termination, Word

SAMPLE_RUNS = 10
AT_ONCE_MAX = 1000
BULK_ID_CHARS_MAX = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

OnProgress = Callable[[BulkProgress], Any]
"""May be a coroutine function, which is awaited. What it raises ends the bulk where it is."""


class Bulk:
    """``engine.bulk``. See ``docs/bulk.md``.

    What all of it takes:

    :param filter: which runs, in the language of ``Engine.list`` without ``ORDER BY``. None only with
        ``everything=True``, so that nobody means all runs of the namespace by mistake.
    :param dry_run: change nothing; the report has how many runs it would be, and the first of them.
    :param id: of the bulk; by default a new one. :param began_at: runs that were started later are not touched; by
        default now. To repeat a bulk, give those of its report.
    :param on_progress: called with a ``BulkProgress`` every 500 runs, and awaited if it can be.
    :param at_once: how many runs are spoken to at a time.

    Raises ``FilterError``, ``InvalidInput``; ``StoreUnavailable`` in the middle of it, and then it is to be repeated.
    """

    def __init__(
        self, journal: Journal, namespace: str, make_id: Callable[[], str], audience: Observers | None = None
    ) -> None:
        self._journal = journal
        self._namespace = namespace
        self._make_id = make_id
        self._audience = audience

    async def cancel(
        self,
        filter: str | None,
        *,
        reason: str = "",
        everything: bool = False,
        dry_run: bool = False,
        id: str | None = None,
        began_at: datetime | None = None,
        on_progress: OnProgress | None = None,
        at_once: int = 100,
    ) -> BulkReport:
        """Ask all open runs that fit to stop, as ``RunHandle.cancel`` does; they compensate."""
        data = plain_text(reason, "the reason").encode()
        plan = await self._plan(open_runs, filter, everything, id, began_at, on_progress, at_once)
        plan.say = Letter(self._journal, plan.id, "cancel", "", data).send
        return await plan.carry_out(dry_run)

    async def terminate(
        self,
        filter: str | None,
        *,
        reason: str = "",
        everything: bool = False,
        dry_run: bool = False,
        id: str | None = None,
        began_at: datetime | None = None,
        on_progress: OnProgress | None = None,
        at_once: int = 100,
    ) -> BulkReport:
        """End all open runs that fit by force, as ``RunHandle.terminate`` does; nothing is compensated."""
        plain_text(reason, "the reason")
        plan = await self._plan(open_runs, filter, everything, id, began_at, on_progress, at_once)
        plan.say = Termination(self._journal, reason, self._audience).end
        return await plan.carry_out(dry_run)

    async def signal(
        self,
        filter: str | None,
        name: str | Signal[Any, Any],
        value: Any = None,
        *,
        everything: bool = False,
        dry_run: bool = False,
        id: str | None = None,
        began_at: datetime | None = None,
        on_progress: OnProgress | None = None,
        at_once: int = 100,
    ) -> BulkReport:
        """Send a signal to all open runs that fit, by its name or as its handler. None gets it twice from one bulk."""
        payload = signal_payload(name, value, self._journal.value_bytes_max)
        plan = await self._plan(open_runs, filter, everything, id, began_at, on_progress, at_once)
        plan.say = Letter(self._journal, plan.id, "signal", handler_name(name, "signal"), payload).send
        return await plan.carry_out(dry_run)

    async def retry(
        self,
        filter: str | None,
        *,
        everything: bool = False,
        dry_run: bool = False,
        id: str | None = None,
        began_at: datetime | None = None,
        on_progress: OnProgress | None = None,
        at_once: int = 100,
    ) -> BulkReport:
        """Let all failed runs that fit go on at their failed steps, and parked ones try again, as ``RunHandle.retry``.

        A dry run looks at each of them, and says which would refuse.
        """
        plan = await self._plan(retriable_runs, filter, everything, id, began_at, on_progress, at_once)
        retrial = Retrial(self._journal, plan.id)
        plan.say, plan.judge = retrial.begin, retrial.judge
        return await plan.carry_out(dry_run)

    async def _plan(
        self,
        which: Callable[[Predicate, int], tuple[Stretch, ...]],
        filter: str | None,
        everything: bool,
        id: str | None,
        began_at: datetime | None,
        on_progress: OnProgress | None,
        at_once: int,
    ) -> _Plan:
        if not isinstance(at_once, int) or not 1 <= at_once <= AT_ONCE_MAX:
            raise InvalidInput(f"at_once is a number from 1 to {AT_ONCE_MAX}, not {at_once!r:.100}")
        now = self._journal.clock.now()
        began = now if began_at is None else min(_microseconds(began_at), now)
        return _Plan(
            self._journal,
            self._namespace,
            id=self._make_id() if id is None else checked_name(id, "the id of a bulk", BULK_ID_CHARS_MAX),
            stretches=which(await self._wanted(filter, everything), began),
            began_at=began,
            on_progress=on_progress,
            at_once=at_once,
        )

    async def _wanted(self, filter: str | None, everything: bool) -> Predicate:
        is_said = filter is not None and not (isinstance(filter, str) and not filter.strip())
        if everything and is_said:
            raise InvalidInput("a bulk is for the runs that fit its filter, or for everything=True; leave one out")
        if not everything and not is_said:
            raise InvalidInput(
                "a bulk needs a filter, such as \"WorkflowType = 'fulfil_order'\"; everything=True means all runs"
            )
        if everything:
            return EVERYTHING
        search = await read_filter(self._journal, self._namespace, filter)
        if search.order:
            raise InvalidInput("filter: a bulk goes through its runs in the order of their starts; leave ORDER BY out")
        return search.where


class _Plan:
    """One bulk: which runs, and what is said to them."""

    say: Word
    judge: Word | None = None
    """Says what ``say`` would come to, where that is not plain from the search."""

    def __init__(
        self,
        journal: Journal,
        namespace: str,
        *,
        id: str,
        stretches: tuple[Stretch, ...],
        began_at: int,
        on_progress: OnProgress | None,
        at_once: int,
    ) -> None:
        self._journal = journal
        self._namespace = namespace
        self.id = id
        self._stretches = stretches
        self._began_at = began_at
        self._on_progress = on_progress
        self._at_once = at_once

    async def carry_out(self, dry_run: bool) -> BulkReport:
        total = sum([await self._count(each) for each in self._stretches if each.of_continued is None])
        if dry_run:
            return await self._would_be(total)
        tally = await self._go_through(self.say, total)
        return tally.report(self.id, total, self._moment())

    async def _count(self, stretch: Stretch) -> int:
        if not stretch.is_of_delayed:
            return await self._journal.count_found(self._namespace, stretch.search.where)
        return sum([len(runs) async for runs in pages(self._journal, self._namespace, stretch)])

    async def _would_be(self, total: int) -> BulkReport:
        """What it would come to, and the first of its runs."""
        if self.judge is None:
            report = BulkReport(id=self.id, began_at=self._moment(), dry_run=True, total=total, done=total)
        else:
            tally = await self._go_through(self.judge, total)
            report = msgspec.structs.replace(tally.report(self.id, total, self._moment()), dry_run=True)
        sample = []
        for stretch in self._stretches:
            async for runs in pages(self._journal, self._namespace, stretch, SAMPLE_RUNS):
                sample += [run_info(run, None) for run in runs]
                if len(sample) >= SAMPLE_RUNS:
                    break
        return msgspec.structs.replace(report, sample=tuple(sample[:SAMPLE_RUNS]))

    async def _go_through(self, say: Word, total: int) -> Tally:
        tally = Tally()
        for stretch in self._stretches:
            async for runs in pages(self._journal, self._namespace, stretch):
                outcomes = await say_to_all(runs, say, self._at_once)
                if stretch.of_continued is not None:
                    outcomes = [each for each in outcomes if each.outcome != ALREADY]
                tally.add(outcomes)
                await self._tell(tally, total, outcomes)
        return tally

    async def _tell(self, tally: Tally, total: int, outcomes: list[BulkOutcome]) -> None:
        if self._on_progress is None or not outcomes:
            return
        said = self._on_progress(tally.progress(self.id, total, outcomes))
        if inspect.isawaitable(said):
            await said

    def _moment(self) -> datetime:
        return _EPOCH + self._began_at * _MICROSECOND


def _microseconds(began_at: datetime) -> int:
    if not isinstance(began_at, datetime) or began_at.tzinfo is None:
        raise InvalidInput(f"began_at is an aware datetime, such as the began_at of a report, not {began_at!r:.100}")
    return (began_at - _EPOCH) // _MICROSECOND
