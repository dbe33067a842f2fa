"""Hand: the thread on which deeds are done while the writer waits for them, and no longer than it should.

A thread cannot be ended. One that does not come back in time is let go: its deed's connection is closed to it, and
another thread does the next deed. So a deed that sleeps, computes or waits for somebody else keeps the database for its
time and no longer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from keepstep.journal.errors import Overloaded

T = TypeVar("T")

LET_GO_MAX = 32
"""So many threads may go on with deeds whose time is over before nothing more is begun."""


class Late(Exception):
    """It did not come back in time, and may still go on."""


class Performer(Protocol):
    """Who does the work."""

    def perform(self, work: Callable[[], T], seconds: float) -> T:
        """What the work returns, or raises. Raises ``Late``."""
        ...

    def monotonic(self) -> float:
        """The clock by which work takes its time."""
        ...

    def close(self) -> None:
        """There will be no more work."""
        ...


class Hand:
    """A ``Performer`` with a thread."""

    def __init__(self) -> None:
        self._thread: _Thread | None = None
        self._let_go: list[_Thread] = []

    def perform(self, work: Callable[[], T], seconds: float) -> T:
        if self._let_go:
            self._let_go = [each for each in self._let_go if each.is_alive()]
            if len(self._let_go) >= LET_GO_MAX:
                raise Overloaded(
                    f"{LET_GO_MAX} transactional steps still run although their time is over; none is begun beside them"
                )
        if self._thread is None:
            self._thread = _Thread()
            self._thread.start()
        thread = self._thread
        thread.tasks.put(work)
        try:
            result, error = thread.answers.get(timeout=seconds)
        except Empty:
            self._let_go.append(thread)
            self.close()
            raise Late from None
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def monotonic(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        if self._thread is not None:
            self._thread.tasks.put(None)
            self._thread = None


class _Thread(threading.Thread):
    """Does what it is given, one thing after the other, until it is given None."""

    def __init__(self) -> None:
        super().__init__(name="keepstep-deeds", daemon=True)
        self.tasks: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self.answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run(self) -> None:
        while (work := self.tasks.get()) is not None:
            self.answers.put(_outcome(work))
            del work


def _outcome(work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return work(), None
    except BaseException as error:
        return None, error
