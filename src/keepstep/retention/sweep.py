"""Sweep: one batch of closed runs whose time has come.

Order is everything here. What may go is listed; where it is to be archived, each run is read and written to a file,
which is durable when ``put`` returns; only then are those runs removed that are still as they were listed. So a crash
at any point leaves each run in the database, in the archive, or in both, and the next sweep begins anew. A run that was
written twice is known by its id and version.

A run that cannot be archived (its key is missing, it is too large) stays, is noted with why, and passed over until the
next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from keepstep.archive.file import SUFFIX, pack
from keepstep.archive.place import Place, place_at
from keepstep.archive.recording import encode_line
from keepstep.codecs import Codec
from keepstep.journal import ClosedRun, Journal, NotFound, Status, StoreUnavailable, TooLarge, Unreadable

from .policy import LEFT_MAX, Left, Rule

BATCH_RUNS = 200
BATCH_EVENTS = 20_000
"""And those of one run more."""

FILE_BYTES_MAX = 16 * 1024 * 1024
"""Of lines; and those of one run more."""

WHY_CHARS_MAX = 300

END_OF_TIME = 1 << 62

Leftovers = Mapping[Status, tuple[Left, ...]]


class Batch(msgspec.Struct, kw_only=True):
    """What came of one."""

    removed: int = 0
    archived: int = 0
    is_last: bool = True
    """Nothing more is due now."""
    left: dict[Status, tuple[Left, ...]] = {}


class Sweeping:
    """Carries out the rules of one namespace. ``make_id`` gives files their names."""

    def __init__(
        self,
        journal: Journal,
        codec: Codec,
        namespace: str,
        rules: Mapping[Status, Rule],
        make_id: Callable[[], str],
        open_place: Callable[[str], Place] = place_at,
    ) -> None:
        self._journal = journal
        self._codec = codec
        self._namespace = namespace
        self._rules = rules
        self._make_id = make_id
        self._open_place = open_place
        self._in_vain: dict[Status, list[ClosedRun]] = {}
        """What was due of a status when nothing of it could be removed: it is not tried twice in one sweep."""

    async def sweep_batch(self, left: Leftovers) -> Batch:
        """Remove up to ``BATCH_RUNS`` runs of one status. ``left`` are passed over.

        Raises ``StoreUnavailable``, ``InvalidInput`` if an archive cannot be written to: nothing was removed then.
        """
        batch = Batch(left=dict(left))
        for status, rule in self._rules.items():
            due = await self._due(status, rule, left.get(status, ()))
            if due and due != self._in_vain.get(status):
                await self._remove(status, rule, due, batch)
                self._in_vain[status] = due if not batch.removed else []
                batch.is_last = False
                break
        return batch

    async def _due(self, status: Status, rule: Rule, left: tuple[Left, ...]) -> list[ClosedRun]:
        if len(left) >= LEFT_MAX:
            return []
        ended_before = self._journal.clock.now() - rule.keep
        passed_over = {each.run_id for each in left}
        found = await self._journal.list_closed(self._namespace, status, ended_before, BATCH_RUNS + len(left))
        due: list[ClosedRun] = []
        events = 0
        for each in found:
            if each.run_id not in passed_over and len(due) < BATCH_RUNS and events < BATCH_EVENTS:
                due.append(each)
                events += each.last_seq
        return due

    async def _remove(self, status: Status, rule: Rule, due: list[ClosedRun], batch: Batch) -> None:
        if rule.archive is not None:
            due = await self._archive(status, rule.archive, due, batch)
        batch.removed = len(await self._journal.remove_runs(due))

    async def _archive(self, status: Status, url: str, due: list[ClosedRun], batch: Batch) -> list[ClosedRun]:
        """Write them to a file; those that are in it."""
        lines: list[bytes] = []
        written: list[ClosedRun] = []
        left = list(batch.left.get(status, ()))
        size = 0
        for each in due:
            if size >= FILE_BYTES_MAX or len(left) >= LEFT_MAX:
                break
            try:
                line = await self._read(each)
            except (Unreadable, TooLarge) as error:
                left.append(Left(each.run_id, str(error)[:WHY_CHARS_MAX]))
                continue
            if line is not None:
                lines.append(line)
                written.append(each)
                size += len(line)
        batch.left[status] = tuple(left)
        if lines:
            await self._write(url, lines)
        batch.archived = len(lines)
        return written

    async def _read(self, due: ClosedRun) -> bytes | None:
        """A run as a line; None if it is not any more as it was listed. It may have another status by now."""
        try:
            loaded = await self._journal.load(due.run_id)
        except NotFound:
            return None
        if loaded.run.version != due.version:
            return None
        audit = await self._journal.read_audit(due.run_id)
        return await asyncio.to_thread(encode_line, loaded, audit, self._codec)

    async def _write(self, url: str, lines: list[bytes]) -> None:
        seconds = self._journal.clock.now() // 1_000_000
        began = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{began}-{self._make_id()}{SUFFIX}"

        def write() -> None:
            self._open_place(url).put(name, pack(lines, seconds))

        try:
            await asyncio.to_thread(write)
        except Unreadable as error:
            raise StoreUnavailable(str(error)) from error

    async def next_due(self, left: Leftovers) -> int:
        """When a run is due next, be it closed by now or in a moment."""
        now = self._journal.clock.now()
        times: list[int] = []
        for status, rule in self._rules.items():
            passed_over = {each.run_id for each in left.get(status, ())}
            if len(passed_over) < LEFT_MAX:
                found = await self._journal.list_closed(self._namespace, status, END_OF_TIME, 1 + len(passed_over))
                oldest = next((each.closed_at for each in found if each.run_id not in passed_over), now)
                times.append(oldest + rule.keep + 1)
        return min(times, default=END_OF_TIME)
