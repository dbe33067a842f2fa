"""Drive: what makes the rounds of a writer happen. In production a thread; a simulation has its own.

A drive takes operations in, hands them to ``Writer.round`` in groups and waits when a round says so. It decides nothing
about what is written.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from keepstep.journal.deciding.operation import Operation

from . import writer
from .writer import Writer

log = logging.getLogger("keepstep.journal")

JOIN_SECONDS_MAX = 30.0
"""How long a store that closes waits for what only another process can end: more than all that it tries by itself."""


class Drive(Protocol):
    """Where a journal's operations go."""

    def put(self, operation: Operation) -> None:
        """Queue an operation for the next group. Raises ``Overloaded``, ``StoreUnavailable``."""
        ...

    def wake(self) -> None:
        """Something may be due earlier than it was."""
        ...

    def end(self) -> None:
        """Flush what is queued, then let go of the file."""
        ...

    async def join(self) -> Sequence[Operation]:
        """Wait until everything has ended, but not for ever; the operations that are left then."""
        ...


class ThreadDrive:
    """The one thread of a process that writes."""

    def __init__(self, driven: Writer) -> None:
        self._writer = driven
        self._queue: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        """None only wakes the thread."""
        self._group: list[Operation] = []
        """Those of the round."""
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="keepstep-writer", daemon=True)
        self._thread.start()

    def put(self, operation: Operation) -> None:
        self._writer.admit(self._queue.qsize())
        self._queue.put(operation)

    def wake(self) -> None:
        self._queue.put(None)

    def end(self) -> None:
        self._ending = True
        self._queue.put(None)

    async def join(self) -> list[Operation]:
        await asyncio.to_thread(self._thread.join, JOIN_SECONDS_MAX)
        if not self._thread.is_alive():
            return []
        log.error("the store is left while it waits for another process: what is queued may or may not be written")
        return [*self._group, *iter(self._take, None)]

    def _take(self) -> Operation | None:
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return None

    def _run(self) -> None:
        while not (self._ending and self._queue.empty()):
            self._group = self._gather()
            for pause in self._writer.round(self._group):
                time.sleep(pause)
            for operation in self._writer.take_put_off():
                self._queue.put(operation)
            self._group = []
        self._writer.leave()

    def _gather(self) -> list[Operation]:
        """The operations that wait; if none does, the first that comes, or none when something else is due."""
        group: list[Operation] = []
        take, most = self._queue.get_nowait, writer.GROUP_OPERATIONS_MAX
        try:
            operation = self._queue.get(timeout=self._writer.idle_seconds())
            while operation is not None:
                group.append(operation)
                if len(group) >= most:
                    break
                operation = take()
        except queue.Empty:
            """That is all for now."""
        return group
