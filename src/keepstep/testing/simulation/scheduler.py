"""Scheduler: one virtual loop on which several simulated processes run, each of which can be frozen or killed.

Every callback belongs to the process in whose context it was scheduled. Callbacks of a dead process never run again:
no ``finally``, no ``except``, nothing, as after ``kill -9``. Those of a frozen process wait until it thaws, and its
timers that came due meanwhile fire late, as after SIGSTOP and SIGCONT or a long pause of a virtual machine.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, TypeVarTuple

from keepstep.journal import Error
from keepstep.testing.virtual import VirtualLoop

Ts = TypeVarTuple("Ts")


class Fate:
    """Whether the callbacks of a process may run. The root of a simulated process."""

    def __init__(self) -> None:
        self.is_dead = False
        self.is_frozen = False
        self._held_back: list[asyncio.Handle] = []

    def stops(self, handle: asyncio.Handle) -> bool:
        """True if a callback that is due must not run (now)."""
        if self.is_dead:
            return True
        if self.is_frozen:
            self._held_back.append(handle)
            return True
        return False

    def freeze(self) -> None:
        self.is_frozen = True

    def thaw(self, loop: SimulationLoop) -> None:
        """Let what has become due meanwhile run, in its order."""
        self.is_frozen = False
        held_back, self._held_back = self._held_back, []
        loop.run_soon(held_back)


fate: ContextVar[Fate | None] = ContextVar("fate", default=None)
"""Of the process that the running callback belongs to; None for the simulation's own."""


class _Handle(asyncio.Handle):
    __slots__ = ()
    _context: Context

    def _run(self) -> None:
        its = self._context.get(fate)
        if its is None or not its.stops(self):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    __slots__ = ()
    _context: Context

    def _run(self) -> None:
        its = self._context.get(fate)
        if its is None or not its.stops(self):
            super()._run()


ITERATIONS_MAX = 500_000
"""A story takes some ten thousand iterations of the loop; one that takes so many goes round in circles."""


class Livelock(Error):
    """Everybody is busy, and nothing comes of it."""


class SimulationLoop(VirtualLoop):
    """A ``VirtualLoop`` that asks a process's fate before it runs one of its callbacks."""

    _ready: Any
    _scheduled: Any
    iterations = 0

    def _run_once(self) -> None:
        self.iterations += 1
        if self.iterations > ITERATIONS_MAX:
            self.iterations = 0
            raise Livelock(f"no end after {ITERATIONS_MAX:,} iterations of the loop, at {self.time():.3f} s")
        super()._run_once()  # type: ignore[misc]

    def _call_soon(self, callback: Callable[..., Any], args: Any, context: Context | None) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def run_soon(self, handles: list[asyncio.Handle]) -> None:
        """Run callbacks that were held back; those cancelled meanwhile are left out."""
        self._ready.extend(handles)
