"""Lane: the way of one run's commits to the journal, in the order in which they are made.

Nearly all are handed in at once and travel with those of other runs. One that *travels alone* carries work of a step's
own (``transaction``): whether it records its one event is known only when it has ended, and with that the seq of all
events that come after it. So what is submitted behind it waits here, and is handed in when it is over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from keepstep.journal import Commit, Promise, StoreUnavailable, Transaction

if TYPE_CHECKING:
    from .worker import Worker

HandIn = Callable[[Commit], Promise]


class Lane:
    """See the module's docstring."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._waiting: deque[Promise] | None = None
        """What waits for the commit that travels alone; None while none does."""
        self._last: Promise | None = None
        """The last commit that was handed in."""
        self._submitted: deque[Promise] = deque()
        """Those that may not be over yet. A later one can be over first, where it is refused at the door."""

    def submit(self, commit: Commit, heard: Callable[[Promise], None], alone: HandIn | None = None) -> Promise:
        """Hand in a commit, or have it wait for its turn. One that travels alone is handed in by ``alone``."""
        watching = self._worker.watching
        promise = self._submit(commit, heard if watching is None else watching.timed(heard), alone)
        while self._submitted and self._submitted[0].done():
            self._submitted.popleft()
        self._submitted.append(promise)
        return promise

    def on_its_way(self) -> list[Promise]:
        """What is not over yet."""
        return [promise for promise in self._submitted if not promise.done()]

    def _submit(self, commit: Commit, heard: Callable[[Promise], None], alone: HandIn | None) -> Promise:
        if self._waiting is not None:
            promise = Promise(loop=self._worker.loop)
            promise.commit, promise.heard, promise.alone = commit, heard, alone
            self._waiting.append(promise)
            return promise
        if alone is not None:
            self._waiting = deque()
        return self._hand_in(commit, heard, alone)

    def _hand_in(self, commit: Commit, heard: Callable[[Promise], None], alone: HandIn | None) -> Promise:
        """A refusal at the door comes back like any other."""
        try:
            promise = (alone or self._worker.journal.submit)(commit)
        except Exception as error:
            promise = Promise(loop=self._worker.loop)
            self._worker.loop.call_soon(promise.settle, None, error)
        promise.commit = commit
        promise.heard = heard
        self._last = promise
        return promise

    def go_on(self, missing: int) -> None:
        """The commit that travelled alone is over, and has recorded so many events less than was foreseen.

        Hand in what has waited, up to the next one that travels alone.
        """
        waiting, self._waiting = self._waiting or deque(), None
        for promise in waiting:
            if promise.commit.first_seq is not None:
                promise.commit.first_seq -= missing
        while waiting and self._waiting is None:
            promise = waiting.popleft()
            if promise.alone is not None:
                self._waiting = waiting
            self._hand_in(promise.commit, partial(_pass_on, promise), promise.alone)

    def commit_within(self, transaction: Transaction, commit: Commit) -> Promise:
        """Hand in by a transaction. It has a connection of its own, so that what was before must have ended first."""
        promise = Promise(loop=self._worker.loop)
        self._worker.spawn(_commit_behind(self._last, transaction, commit, promise))
        return promise


async def _commit_behind(before: Promise | None, transaction: Transaction, commit: Commit, promise: Promise) -> None:
    try:
        while before is not None and not before.done():
            await asyncio.wait((before,))
        promise.settle(await transaction.commit(commit), None)
    except Exception as error:
        promise.settle(None, error)
    except BaseException:
        promise.settle(None, StoreUnavailable("the worker has ended; it may or may not be written"))
        raise


def _pass_on(promise: Promise, done: Promise) -> None:
    """A commit that had to wait has ended."""
    error = done.exception()
    promise.settle(done.result() if error is None else None, error)
