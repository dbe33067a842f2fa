"""Drive: what makes the rounds of a writer happen. In production a thread; a simulation has its own.

A drive takes operations in, hands them to ``Writer.round`` in groups and waits when a round says so. It decides nothing
about what is written.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from typing import Protocol

from . import writer
from .operation import Operation
from .writer import Writer


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

    async def join(self) -> None:
        """Wait until everything has ended."""
        ...


class ThreadDrive:
    """The one thread of a process that writes."""

    def __init__(self, driven: Writer) -> None:
        self._writer = driven
        self._queue: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        """None only wakes the thread."""
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

    async def join(self) -> None:
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while not (self._ending and self._queue.empty()):
            for pause in self._writer.round(self._gather()):
                time.sleep(pause)
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
