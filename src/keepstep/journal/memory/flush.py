"""Flush: the operations of one loop iteration, applied together, answered in a later iteration.

A crash can come before the flush (nothing happened), or between the flush and its answers (it happened, and nobody
was told), which are the two ways in which a real commit is lost from its writer's sight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, cast

from keepstep.journal import limits
from keepstep.journal.errors import JournalError, Overloaded
from keepstep.journal.promise import Promise

from .disk import Transaction

T = TypeVar("T")
Operation = Callable[[Transaction], Any]
Answer = tuple[asyncio.Future[Any], Any, Exception | None]


class Flusher:
    """Queue of one handle's operations. ``begin`` opens the flush's transaction, ``done`` spreads its news."""

    def __init__(
        self,
        begin: Callable[[], Transaction],
        done: Callable[[Transaction], None],
        delay: Callable[[], float] | None,
    ) -> None:
        self._begin = begin
        self._done = done
        self._delay = delay
        self._queue: list[tuple[Operation, asyncio.Future[Any]]] = []
        self._answers: list[Answer] = []
        self._scheduled: asyncio.Handle | None = None

    def submit(
        self, operation: Callable[[Transaction], T], promise: asyncio.Future[T] | None = None
    ) -> asyncio.Future[T]:
        """Run an operation in the next flush; the future has what it returned or raised."""
        if len(self._queue) >= limits.QUEUE_OPERATIONS_MAX:
            raise Overloaded(f"{len(self._queue)} operations wait for the store; try again later")
        return self._put(operation, promise)

    async def drain(self) -> None:
        """Wait until everything that was submitted is done and answered, however long the queue is."""
        await self._put(lambda tx: None)

    def _put(
        self, operation: Callable[[Transaction], T], promise: asyncio.Future[T] | None = None
    ) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future() if promise is None else promise
        self._queue.append((operation, answer))
        if self._scheduled is None:
            self._schedule(loop)
        return cast("asyncio.Future[T]", answer)

    def crash(self) -> None:
        """Nothing is written and nobody is answered any more."""
        self._queue.clear()
        self._answers.clear()
        if self._scheduled is not None:
            self._scheduled.cancel()

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._delay is None:
            self._scheduled = loop.call_soon(self._flush, loop)
        else:
            self._scheduled = loop.call_later(self._delay(), self._flush, loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        operations, self._queue = self._queue, []
        tx = self._begin()
        answers: list[Answer] = []
        for operation, answer in operations:
            try:
                answers.append((answer, operation(tx), None))
            except JournalError as refused:
                answers.append((answer, None, refused))
        self._answers = answers
        self._scheduled = loop.call_soon(self._reply, loop, tx)

    def _reply(self, loop: asyncio.AbstractEventLoop, tx: Transaction) -> None:
        answers, self._answers = self._answers, []
        for answer, value, refused in answers:
            if isinstance(answer, Promise):
                answer.settle(value, refused)
            elif answer.done():
                continue
            elif refused is None:
                answer.set_result(value)
            else:
                answer.set_exception(refused)
        self._done(tx)
        self._scheduled = None
        if self._queue:
            self._schedule(loop)
