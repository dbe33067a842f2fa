"""Survey: all open runs of a store, and if wanted the newest closed ones, judged by several processes.

The processes are made anew, so that each imports the code as a worker would, and a run whose code brings its process
down costs that process alone: what it had in hand is judged again, run by run, until it is known which run it was.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import groupby
from typing import Any, TypeVar

import msgspec

from keepstep.archive import Archive, Archived, place_at
from keepstep.archive.recording import Heading
from keepstep.client.address import open_view
from keepstep.journal import InvalidInput, Run, Status
from keepstep.journal.writing.view import View
from keepstep.runtime.blocked import Diff
from keepstep.runtime.interceptor import Interceptors

from .archive_judge import ArchiveJudge
from .judge import Judge
from .verdict import Verdict, trouble

BATCH_EVENTS = 20_000
"""A batch is handed to a process when its histories are so long together."""

BATCH_RUNS_MAX = 500
BATCHES_WAITING_MAX = 3
"""For each process: enough to keep it busy, and few enough to be dropped when somebody interrupts."""

CLOSED = tuple(each for each in Status if each is not Status.RUNNING)

Item = TypeVar("Item", Run, Archived)

Import = tuple[Callable[..., Any], tuple[Any, ...]]
"""What a process calls to import the code: a function and its arguments, both of which can be pickled."""


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be judged."""

    url: str
    load_code: Import
    """Called in each process before anything else."""
    namespace: str = "default"
    types: tuple[str, ...] = ()
    """Of which workflows; of all if empty."""
    closed_max: int = 0
    """So many of the newest closed runs, beside all open ones."""
    processes: int = 1
    archive: str = ""
    """Where archived runs are that are judged instead: a folder, or ``s3://bucket/prefix``."""
    load_interceptors: Import = (tuple, ())
    """Called after that; it returns those of the engines that are to go on with the runs."""


def survey(what: Survey, tell: Callable[[Verdict, int], None]) -> Verdict:
    """Judge all of it. ``tell`` is called from time to time with what is known, and how many runs there are in all.

    Raises ``StoreUnavailable``, and ``InvalidInput`` where the code cannot be imported, or an archive has no run:
    whoever misspells its place must not be told that nothing would block.
    """
    if what.archive:
        return _survey_archive(what, tell)
    view = open_view(what.url)
    try:
        total = view.count(what.namespace, [Status.RUNNING], what.types)
        if what.closed_max:
            total += min(view.count(what.namespace, CLOSED, what.types), what.closed_max)
        bench = _Bench(what, lambda verdict: tell(verdict, total))
        for batch in _batches(_wanted(view, what)):
            bench.hand_out(batch)
        return bench.finish()
    finally:
        view.close()


def _survey_archive(what: Survey, tell: Callable[[Verdict, int], None]) -> Verdict:
    """Runs of one file go to a process together, which then reads it once."""
    archive = Archive(place_at(what.archive))
    found = archive.list()
    if not found and not archive.troubles:
        raise InvalidInput(f"there is no archived run in {what.archive}; nothing was checked")
    wanted = [each for each in found if not what.types or each.run.type in what.types]
    wanted.sort(key=lambda each: (each.file, each.line))
    bench = _Bench(what, lambda verdict: tell(verdict, len(wanted)))
    for _, those in groupby(wanted, key=lambda each: each.file):
        for batch in _batches(those):
            bench.hand_out(batch)
    verdict = bench.finish()
    return msgspec.structs.replace(verdict, unread=(*archive.troubles, *verdict.unread))


def _wanted(view: View[Any], what: Survey) -> Iterator[Run]:
    yield from view.runs(what.namespace, [Status.RUNNING], what.types)
    if what.closed_max:
        yield from view.runs(what.namespace, CLOSED, what.types, what.closed_max)


def _batches(runs: Iterator[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    events = 0
    for run in runs:
        batch.append(run)
        events += _run_of(run).last_seq
        if events >= BATCH_EVENTS or len(batch) >= BATCH_RUNS_MAX:
            yield batch
            batch, events = [], 0
    if batch:
        yield batch


def _run_of(item: Run | Archived) -> Run | Heading:
    return item.run if isinstance(item, Archived) else item


class _Bench:
    """The processes, and the batches that they have in hand."""

    def __init__(self, what: Survey, tell: Callable[[Verdict], None]) -> None:
        self._what = what
        self._tell = tell
        self._pool = self._make_pool(what.processes)
        self._in_hand: dict[Future[Verdict], Sequence[Run | Archived]] = {}
        self._verdict = Verdict()

    def _make_pool(self, processes: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(
                self._what.archive or self._what.url,
                bool(self._what.archive),
                (self._what.load_code, self._what.load_interceptors),
                sys.path,
            ),
        )

    def hand_out(self, batch: Sequence[Run | Archived]) -> None:
        """Have a batch judged; waits while the processes have enough in hand."""
        while len(self._in_hand) >= self._what.processes * BATCHES_WAITING_MAX:
            self._gather()
        self._in_hand[self._pool.submit(_judge, _named(batch))] = batch

    def finish(self) -> Verdict:
        """Wait for all that was handed out."""
        try:
            while self._in_hand:
                self._gather()
            return self._verdict
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _gather(self) -> None:
        done, _ = wait(self._in_hand, return_when=FIRST_COMPLETED)
        suspects: list[Sequence[Run | Archived]] = []
        for future in done:
            batch = self._in_hand.pop(future)
            try:
                self._add(future.result())
            except BrokenProcessPool:
                suspects.append(batch)
        if suspects:
            self._judge_suspects([*suspects, *self._in_hand.values()])

    def _add(self, verdict: Verdict) -> None:
        self._verdict = self._verdict.with_more(verdict)
        self._tell(self._verdict)

    def _judge_suspects(self, batches: Sequence[Sequence[Run | Archived]]) -> None:
        """A process has died, and with it the pool: judge what was in hand in a process each, halving until it is
        known which runs do it."""
        self._in_hand.clear()
        self._pool.shutdown()
        waiting = list(batches)
        while waiting:
            batch = waiting.pop()
            with self._make_pool(1) as alone:
                try:
                    self._add(alone.submit(_judge, _named(batch)).result())
                    continue
                except BrokenProcessPool:
                    pass
            if len(batch) == 1:
                self._add(Verdict(runs=1, troubles=(trouble(_run_of(batch[0]), _DEADLY),)))
            else:
                half = len(batch) // 2
                waiting += [batch[half:], batch[:half]]
        self._pool = self._make_pool(self._what.processes)


_DEADLY = Diff("The code brought its process down while it was replayed; a worker would die of it, too.")


def _named(batch: Sequence[Run | Archived]) -> list[Any]:
    """A batch in the words of a judge: run ids, or places in an archive."""
    return [each if isinstance(each, Archived) else each.run_id for each in batch]


_judges: list[Judge | ArchiveJudge | BaseException] = []
"""Of this process: one, made when it began, or why there is none."""


def _begin(url: str, is_archive: bool, imports: tuple[Import, Import], path: list[str]) -> None:
    sys.path[:] = path
    try:
        _, found = [function(*arguments) for function, arguments in imports]
        interceptors = Interceptors(found)
        _judges.append(ArchiveJudge(url, interceptors) if is_archive else Judge(url, interceptors))
    except Exception as error:
        _judges.append(error)


def _judge(named: list[Any]) -> Verdict:
    [judge] = _judges
    if isinstance(judge, BaseException):
        raise judge
    return judge.judge(named)
