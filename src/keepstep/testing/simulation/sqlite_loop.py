"""What stands in for the SQLite store's threads, sockets and lock files where one loop drives many processes.

Each simulated process has its own, and all of them are in this very thread: a flush is one callback.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import TypeVar

from keepstep.journal import Hint, HintKind
from keepstep.journal.deciding.operation import Operation
from keepstep.journal.sqlite.reader import ask
from keepstep.journal.writing import writer
from keepstep.journal.writing.bus import Hear
from keepstep.journal.writing.writer import Writer

T = TypeVar("T")


class LoopDrive:
    """A ``Drive`` by callbacks of the loop. At any time it rests, or one callback of its is on the way."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        driven: Writer,
        db: sqlite3.Connection,
        flush_delay: Callable[[], float] | None,
    ) -> None:
        self._loop = loop
        self._writer = driven
        self._db = db
        self._delay = flush_delay
        self._queue: deque[Operation] = deque()
        self._is_resting = True
        self._is_ending = False
        self._is_crashed = False
        self._ended = asyncio.Event()
        self._next: asyncio.Handle
        self._rest()

    def put(self, operation: Operation) -> None:
        if self._is_crashed:
            return
        self._writer.admit(len(self._queue))
        self._queue.append(operation)
        self.wake()

    def wake(self) -> None:
        if self._is_resting and not self._is_crashed:
            self._next.cancel()
            self._go_on()

    def end(self) -> None:
        self._is_ending = True
        self.wake()

    async def join(self) -> Sequence[Operation]:
        await self._ended.wait()
        return ()

    def crash(self) -> None:
        """Nothing more is written; whoever waits, waits for ever."""
        self._is_crashed = True
        self._next.cancel()
        self._queue.clear()
        self._db.close()

    def _go_on(self) -> None:
        """Flush what waits, or else rest, or end."""
        if self._queue or self._writer.renewals.is_due():
            self._is_resting = False
            if self._delay is None:
                self._next = self._loop.call_soon(self._flush)
            else:
                self._next = self._loop.call_later(self._delay(), self._flush)
        elif self._is_ending:
            self._is_resting = False
            self._writer.leave()
            self._ended.set()
        else:
            self._rest()

    def _rest(self) -> None:
        self._is_resting = True
        self._next = self._loop.call_later(self._writer.idle_seconds(), self._look)

    def _look(self) -> None:
        """A round without operations, unless it has a lease to renew, which is a flush like others."""
        if self._writer.renewals.is_due():
            self._go_on()
        else:
            self._step(self._writer.round(()))

    def _flush(self) -> None:
        most = min(len(self._queue), writer.GROUP_OPERATIONS_MAX)
        self._step(self._writer.round([self._queue.popleft() for _ in range(most)]))

    def _step(self, a_round: Iterator[float]) -> None:
        pause = next(a_round, None)
        if pause is None:
            self._queue.extend(self._writer.take_put_off())
            self._go_on()
        else:
            self._next = self._loop.call_later(pause, self._step, a_round)


class InlineReader:
    """A ``Reader`` that asks on the loop's own thread, in a later iteration."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db
        self._crashed = False

    async def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(0)
        if self._crashed:
            await asyncio.get_running_loop().create_future()
        return ask(self._db, self._path, question)

    async def close(self) -> None:
        self._db.close()

    def crash(self) -> None:
        self._crashed = True
        self._db.close()


class LocalProbes:
    """The ``Probes`` of simulated processes, which outlive each of them."""

    def __init__(self) -> None:
        self._noted: dict[str, str] = {}

    def note(self, lease_id: str, run_id: str | None) -> None:
        if run_id is None:
            self._noted.pop(lease_id, None)
        else:
            self._noted[lease_id] = run_id

    def read(self, lease_id: str) -> str | None:
        return self._noted.get(lease_id)

    def drop(self, lease_id: str) -> None:
        self._noted.pop(lease_id, None)

    def close(self) -> None:
        """Nothing is open."""


class Inline:
    """A ``Performer`` without a thread, for work that takes no time."""

    def perform(self, work: Callable[[], T], _: float) -> T:
        return work()

    def monotonic(self) -> float:
        return 0.0

    def close(self) -> None:
        """There is nothing to end."""


class LocalBus:
    """The simulated processes that hear each other's hints."""

    def __init__(self) -> None:
        self.members: dict[LocalPeer, None] = {}


class LocalPeer:
    """A ``Bus`` as one simulated process has it: hints arrive in the next iteration, in the context of their hearer."""

    def __init__(self, bus: LocalBus) -> None:
        self._bus = bus
        self._hear: Hear | None = None

    def listen(self, loop: asyncio.AbstractEventLoop, hear: Hear) -> None:
        self._loop, self._hear, self._context = loop, hear, copy_context()
        self._bus.members[self] = None

    def tell(self, kinds: Sequence[HintKind]) -> None:
        for other in self._bus.members:
            if other is not self:
                self._loop.call_soon(other.receive, tuple(kinds), context=other._context)

    def receive(self, kinds: Sequence[HintKind]) -> None:
        for kind in kinds:
            if self._hear is not None:
                self._hear(Hint(kind))

    def close(self) -> None:
        self._hear = None
        self._bus.members.pop(self, None)


class OnlyThread:
    """The turn of a process among others that run in the same thread: it is always its turn."""

    def __enter__(self) -> None:
        """Nobody else is in a flush."""

    def __exit__(self, *_: object) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """There is no lock file."""
