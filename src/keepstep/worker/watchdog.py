"""Watchdog: interrupts workflow code that does not come back.

Workflow code runs on the worker's event loop; an endless loop in it would stop everybody else. A thread looks at how
long the current turn has taken, and after the limit raises ``TurnTooLong`` inside of it. The run is then blocked, and
the worker goes on. Code that sits in a C call is interrupted only when that call returns.
"""

from __future__ import annotations

import ctypes
import threading
import time

from keepstep.runtime.errors import Restless

TURN_SECONDS_MAX = 10.0


class TurnTooLong(Restless):
    """Raised inside workflow code that held the worker's event loop for too long."""

    def __init__(self) -> None:
        Exception.__init__(
            self,
            f"workflow code ran for more than {TURN_SECONDS_MAX:g} s without waiting for anything; "
            "long computations belong into a step",
        )


class Watchdog:
    """One thread for one worker; started by the first turn, ended with the worker."""

    def __init__(self, turn_seconds_max: float = TURN_SECONDS_MAX) -> None:
        self._limit = turn_seconds_max
        self._turn = 0
        self._is_in_turn = False
        self._is_suspicious = False
        """The thread has seen the current turn before, and may interrupt it when it looks again."""
        self._thread_id = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._interrupted = -1
        """The last turn that was interrupted."""

    def enter(self) -> None:
        """A turn begins."""
        if self._thread is None:
            self._start()
        self._turn += 1
        self._is_in_turn = True

    def leave(self) -> bool:
        """The turn is over; True if it was interrupted, whatever the workflow's code made of the error.

        Afterwards nothing is raised for it any more.

        The lock is taken only where an interruption can be on its way: that needs two looks at one turn, and nearly all
        turns end before the first.
        """
        self._is_in_turn = False
        if self._is_suspicious:
            with self._lock:
                self._is_suspicious = False
        return self._interrupted == self._turn

    def go_on(self) -> None:
        """A long replay has come further: what follows is a turn of its own. Raises ``TurnTooLong``."""
        if self.leave():
            raise TurnTooLong
        self.enter()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _start(self) -> None:
        self._thread_id = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="keepstep-watchdog", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        seen, since = -1, time.monotonic()
        while not self._stop.wait(self._limit / 4):
            if not self._is_in_turn or self._turn != seen:
                seen, since = self._turn, time.monotonic()
            elif not self._is_suspicious:
                self._is_suspicious = True
            elif time.monotonic() - since > self._limit:
                self._interrupt(seen)
                since = time.monotonic()

    def _interrupt(self, turn: int) -> None:
        with self._lock:
            if self._is_in_turn and self._turn == turn:
                self._interrupted = turn
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread_id), ctypes.py_object(TurnTooLong)
                )
