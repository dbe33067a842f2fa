"""Ordering: commits of a run reach the store in the order in which they were submitted, although some wait for blobs.

A commit whose blobs are still being written holds up those of its run that come behind it. A place for blobs that
cannot be reached delays them for a while, because what they record would have to be done again; if it gives up, those
behind are refused as well, since the store would see a gap.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from keepstep.journal import Commit, Committed, Journal, JournalError, Promise, StoreUnavailable

from .sealing import Sealing
from .storage import Storage

Opened = Callable[[str, Committed], Committed]
"""The outcome of a commit to a run, in plain."""


class Ordering:
    """See the module."""

    def __init__(self, journal: Journal, storage: Storage, opened: Opened) -> None:
        self._journal = journal
        self._storage = storage
        self._opened = opened
        self._waiting: dict[str, deque[_Line]] = {}
        """By run, commits in the order submitted, of which the first one's blobs are being written."""
        self._writing: set[asyncio.Task[None]] = set()

    async def until_handed_in(self) -> None:
        """Wait for what is on its way to the store."""
        if self._writing:
            await asyncio.wait(self._writing)

    def submit(self, sealed: Commit, sealing: Sealing) -> Promise:
        """Hand a sealed commit in when its blobs are durable, behind those of its run that were submitted before."""
        waiting = self._waiting.get(sealed.run_id)
        if waiting is None and not sealing.blobs and sealed.deed is None:
            return self._journal.submit(sealed)
        promise = Promise(loop=asyncio.get_running_loop())
        line = _Line(sealed, sealing, promise)
        if waiting is None and not sealing.blobs:
            self._hand_in(line)
        elif waiting is not None:
            waiting.append(line)
        else:
            self._waiting[sealed.run_id] = deque((line,))
            task = asyncio.get_running_loop().create_task(self._work_off(sealed.run_id))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        return promise

    async def _work_off(self, run_id: str) -> None:
        """Write the blobs of a run's commits and hand these in, one after the other; none behind one that failed."""
        waiting = self._waiting[run_id]
        failed: JournalError | None = None
        try:
            while waiting:
                line = waiting[0]
                if failed is None:
                    try:
                        await self._storage.keep_at_last(line.sealing.blobs)
                    except JournalError as error:
                        failed = error
                if failed is None:
                    self._hand_in(line)
                else:
                    line.promise.settle(None, failed)
                waiting.popleft()
        finally:
            del self._waiting[run_id]
            for line in waiting:  # the event loop is being closed
                line.promise.settle(
                    None,
                    StoreUnavailable("the process ended before this was written; its run goes on by itself elsewhere"),
                )

    def _hand_in(self, line: _Line) -> None:
        try:
            inner = self._journal.submit(line.commit)
        except JournalError as error:
            asyncio.get_running_loop().call_soon(line.promise.settle, None, error)
        else:
            inner.heard = partial(self._heard, line)

    def _heard(self, line: _Line, inner: Promise) -> None:
        error = inner.exception()
        if error is not None:
            line.promise.settle(None, error)
        else:
            line.promise.settle(self._opened(line.commit.run_id, inner.result()), None)


class _Line:
    """A commit that is on its way to the store."""

    __slots__ = ("commit", "promise", "sealing")

    def __init__(self, commit: Commit, sealing: Sealing, promise: Promise) -> None:
        self.commit = commit
        self.sealing = sealing
        self.promise = promise
