"""Changes: which runs have changed, for all who watch, from the log of the journal.

One look at the log serves everybody. It happens when the store hints that something has happened here, and every
``LOOK_SECONDS`` besides, because other processes' steps send no hints; and only while somebody watches.

Invariants

* A change is told after it is durable, and none that has an event is left out: what is too much to be told one by one
  is told as "anything may have changed" (``is_all``), which costs the watcher one look at what it shows.
* What waits to be told to a slow watcher is one set of run ids, of at most ``RUNS_MAX``; nothing grows.
* A *mark* is a text with the log's positions. Whoever comes back with one is told what happened since.

Changes that have no event are told where a hint names the run. That another process has parked a run, or let it go on,
is seen by looking at the runs that are parked (``PARKED``), of which there are few, every ``PARKED_SECONDS``; where
there are more than ``PARKED_MAX`` of them in a namespace, the newest. That a run has come to wait in another process is
not told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from keepstep.journal import Condition, Hint, Journal, JournalError, Position, PositionGone, Run

from .refusal import Refusal

logger = logging.getLogger("keepstep.server")

LOOK_SECONDS = 0.1
TROUBLE_SECONDS = 1.0
RUNS_MAX = 500
ENTRIES_MAX = 1000
"""Of the log of one shard that are read in one look."""

PARKED = (
    Condition.BLOCKED, Condition.UNCERTAIN, Condition.PAUSED, Condition.QUARANTINED, Condition.COMPENSATING,
)  # fmt: skip
"""Conditions in which a run does not go on by itself, or undoes what it did."""

PARKED_SECONDS = 2.0
PARKED_MAX = 200

SHARDS_MAX = 4096
MARK_CHARS_MAX = 32 * SHARDS_MAX

Places = dict[int, int]
"""Shard, and the number of the last event that is known of it."""


class News:
    """What has changed since a watcher was told the last time."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.runs: dict[str, str] = {}
        """Run ids, and the workflow ids of these runs."""
        self.is_all = False

    def __bool__(self) -> bool:
        return bool(self.runs) or self.is_all

    def add(self, runs: Mapping[str, str], *, is_all: bool = False) -> None:
        self.runs.update(runs)
        if is_all or len(self.runs) > RUNS_MAX:
            self.is_all, self.runs = True, {}
        elif self.is_all:
            self.runs = {}


class Watcher:
    """Somebody who watches the runs of one namespace. Made by ``Changes.watch``."""

    def __init__(self, namespace: str, mark: str) -> None:
        self.namespace = namespace
        self.mark = mark
        """Where it began."""
        self._news = News(mark)
        self._is_there = asyncio.Event()

    def tell(self, mark: str, runs: Mapping[str, str], *, is_all: bool) -> None:
        self._news.mark = mark
        self._news.add(runs, is_all=is_all)
        if self._news:
            self._is_there.set()

    async def take(self) -> News:
        """What is new, once something is."""
        await self._is_there.wait()
        self._is_there.clear()
        news, self._news = self._news, News(self._news.mark)
        return news


class Changes:
    """See the module. ``find_store`` gives what all namespaces lie in; it is open while somebody watches."""

    def __init__(self, find_store: Callable[[], Journal]) -> None:
        self._find_store = find_store
        self._watchers: set[Watcher] = set()
        self._looking: asyncio.Task[None] | None = None
        self._places: Places = {}
        self._hinted: set[str] = set()
        self._hint = asyncio.Event()
        self._parked: dict[str, dict[str, Run]] = {}
        """Of each namespace that is watched, the runs that were parked when that was looked at last."""
        self._parked_at = 0.0

    @property
    def watchers(self) -> int:
        """How many there are."""
        return len(self._watchers)

    @property
    def _store(self) -> Journal:
        return self._find_store()

    async def watch(self, namespace: str, mark: str | None = None) -> Watcher:
        """Watch from now on, or from a mark on; ``leave`` is to be called at the end. Raises ``Refusal``."""
        since = None if mark is None else read_mark(mark)
        parked = await self._read_parked(namespace)
        ends = await self._read_ends()
        if self._looking is None:
            self._places = ends
            self._parked = {}
        self._parked.setdefault(namespace, parked)
        watcher = Watcher(namespace, write_mark(self._places if since is None else since))
        self._watchers.add(watcher)
        if self._looking is None:
            self._store.listen(self._hear)
            self._looking = asyncio.create_task(self._look_on())
        try:
            if since is not None:
                await self._catch_up(watcher, since, ends)
        except BaseException:
            self.leave(watcher)
            raise
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Watch no longer."""
        self._watchers.discard(watcher)
        if not self._watchers and self._looking is not None:
            self._looking.cancel()
            self._looking = None
            self._store.unlisten(self._hear)

    def _hear(self, hint: Hint) -> None:
        if len(self._hinted) <= RUNS_MAX:
            self._hinted.update(hint.run_ids)
        self._hint.set()

    async def _look_on(self) -> None:
        pause = LOOK_SECONDS
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._hint.wait()
                await asyncio.sleep(LOOK_SECONDS / 4)  # what comes together is told together
            except TimeoutError:
                pass
            self._hint.clear()
            try:
                await self._look()
                await self._look_at_parked()
                pause = LOOK_SECONDS
            except JournalError as error:
                if pause == LOOK_SECONDS:
                    logger.warning("changes cannot be read now: %s", error)
                pause = TROUBLE_SECONDS

    async def _look(self) -> None:
        """Nothing is taken for told before all that it takes to tell it was read."""
        ends, hinted = await self._read_ends(), set(self._hinted)
        found, is_all = await self._read_between(self._places, ends)
        if found or hinted or is_all:
            runs = await self._name(found | hinted, is_all)
            self._tell(self._watchers, runs, ends, is_all)
        self._places = ends
        self._hinted -= hinted

    async def _look_at_parked(self) -> None:
        """Tell of runs that are parked and were not, or otherwise, and of those that are not any more."""
        now = asyncio.get_running_loop().time()
        if now < self._parked_at + PARKED_SECONDS:
            return
        self._parked_at = now
        watched = {each.namespace for each in self._watchers}
        for namespace in set(self._parked) - watched:
            del self._parked[namespace]
        for namespace in watched:
            here = await self._read_parked(namespace)
            before = self._parked.get(namespace, here)
            self._parked[namespace] = here
            if changed := _changed(before, here):
                self._tell(self._watchers, {namespace: changed}, self._places, is_all=False)

    async def _read_parked(self, namespace: str) -> dict[str, Run]:
        found = await self._store.list_runs(namespace, conditions=PARKED, limit=PARKED_MAX)
        return {run.run_id: run for run in found}

    async def _catch_up(self, watcher: Watcher, since: Places, ends: Places) -> None:
        found, is_all = await self._read_between(since, ends)
        self._tell((watcher,), await self._name(found, is_all), ends, is_all)

    async def _read_ends(self) -> Places:
        return {each.shard: each.n for each in await self._store.read_log_ends()}

    async def _read_between(self, since: Places, ends: Places) -> tuple[set[str], bool]:
        """The ids of runs with events between two places, and whether there are more than can be named."""
        found: set[str] = set()
        is_all = False
        for shard, end in ends.items():
            place = since.get(shard, 0)
            if place >= end:
                continue
            if end - place > ENTRIES_MAX:
                is_all = True
                continue
            try:
                entries = await self._store.read_log(Position(shard, place), ENTRIES_MAX)
            except PositionGone:
                is_all = True
                continue
            found.update(each.run_id for each in entries)
        return found, is_all or len(found) > RUNS_MAX

    async def _name(self, run_ids: set[str], is_all: bool) -> dict[str, dict[str, str]]:
        """The run ids of each namespace, and the workflow ids of these runs."""
        by_namespace: dict[str, dict[str, str]] = {}
        for run_id in () if is_all else run_ids:
            run = await self._store.read_run(run_id)
            if run is not None:
                by_namespace.setdefault(run.namespace, {})[run_id] = run.workflow_id
        return by_namespace

    def _tell(
        self, watchers: Iterable[Watcher], runs: Mapping[str, Mapping[str, str]], ends: Places, is_all: bool
    ) -> None:
        mark = write_mark(ends)
        for watcher in watchers:
            watcher.tell(mark, runs.get(watcher.namespace, {}), is_all=is_all)


def _changed(before: dict[str, Run], here: dict[str, Run]) -> dict[str, str]:
    """The run ids and workflow ids of those that are otherwise now. What is not among the newest any more, because
    there are so many, is one of them."""
    return {
        run_id: run.workflow_id
        for run_id, run in (before | here).items()
        if run_id not in before or run_id not in here or before[run_id].version != run.version
    }


def write_mark(places: Places) -> str:
    """``shard.number``, with a hyphen between shards."""
    return "-".join(f"{shard}.{n}" for shard, n in sorted(places.items()))


def read_mark(text: str, field: str = "Last-Event-ID") -> Places:
    """Raises ``Refusal``, which names the field that it was given in."""
    try:
        if len(text) > MARK_CHARS_MAX:
            raise ValueError
        places = {int(shard): int(n) for shard, n in (part.split(".") for part in text.split("-") if part)}
        if any(not 0 <= shard < SHARDS_MAX or not 0 <= n < 2**63 for shard, n in places.items()):
            raise ValueError
    except ValueError:
        message = f"{field} is one that came from here, not {text!r:.60}"
        raise Refusal(400, "invalid_input", message, field=field) from None
    return places
