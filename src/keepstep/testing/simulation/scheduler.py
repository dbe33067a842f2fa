"""Scheduler: one virtual loop on which several simulated processes run, each of which can be frozen or killed.

Every callback belongs to the process in whose context it was scheduled. Callbacks of a dead process never run again:
no ``finally``, no ``except``, nothing, as after ``kill -9``. Those of a frozen process wait until it thaws, and its
timers that came due meanwhile fire late, as after SIGSTOP and SIGCONT or a long pause of a virtual machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, ContextVar, copy_context
from heapq import heappush
from typing import Any, Protocol, TypeVar, TypeVarTuple

from msgspec import Struct

from keepstep.journal import Error
from keepstep.testing.virtual import VirtualLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Threads(Protocol):
    """Executes what blocks while the loop goes on."""

    def call(self, work: Callable[[], T]) -> Coroutine[Any, Any, T]: ...


class Fate:
    """Whether the callbacks of a process may run. The root of a simulated process."""

    def __init__(self) -> None:
        self.is_dead = False
        self.is_frozen = False
        self.is_stopped = False
        """Either of them."""
        self.threads: Threads | None = None
        """Where its calls that block are executed; None where they do not take any time."""
        self._held_back: list[_Handle | _TimerHandle] = []

    def hold_back(self, handle: _Handle | _TimerHandle) -> None:
        """A callback that is due must not run: not now if the process is frozen, never if it is dead."""
        if not self.is_dead:
            self._held_back.append(handle)

    def die(self) -> None:
        self.is_dead = self.is_stopped = True

    def freeze(self) -> None:
        self.is_frozen = self.is_stopped = True

    def thaw(self, loop: SimulationLoop) -> None:
        """Let what has become due meanwhile run, in its order."""
        self.is_frozen, self.is_stopped = False, self.is_dead
        held_back, self._held_back = self._held_back, []
        loop.run_soon(held_back)


fate: ContextVar[Fate | None] = ContextVar("fate", default=None)
"""Of the process that the running callback belongs to; None for the simulation's own."""


class _Handle(Struct, eq=False):
    """A callback. It does what those of asyncio do, and a simulation makes ten thousand, so it is made in C."""

    _callback: Callable[..., object] | None
    _args: tuple[Any, ...]
    _context: Context
    _cancelled: bool = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._callback!r}>"

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = None
        self._args = ()

    def cancelled(self) -> bool:
        return self._cancelled


class _TimerHandle(Struct, eq=False):
    """The same for a timer."""

    _callback: Callable[..., object] | None
    _args: tuple[Any, ...]
    _context: Context
    _when: float
    _loop: SimulationLoop | None
    _cancelled: bool = False
    _scheduled: bool = True

    __repr__ = _Handle.__repr__

    def __lt__(self, other: object) -> bool:
        """Of two timers of one time, neither is before the other."""
        return False

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        if self._cancelled:
            return
        if self._scheduled and self._loop is not None:
            self._loop._timers_cancelled += 1
        self._cancelled = True
        self._callback = self._loop = None
        self._args = ()

    def cancelled(self) -> bool:
        return self._cancelled


ITERATIONS_MAX = 500_000
"""A story takes some ten thousand iterations of the loop; one that takes so many goes round in circles."""


class Livelock(Error):
    """Everybody is busy, and nothing comes of it."""


class SimulationLoop(VirtualLoop):
    """A ``VirtualLoop`` that asks a process's fate before it runs one of its callbacks."""

    iterations = 0
    get_debug = staticmethod(bool)  # False, by a call that stays in C: every future asks

    def call_soon(  # type: ignore[override]  # what it returns can be cancelled as asyncio's can
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        if self._closed:
            self._check_closed()
        handle = _Handle(callback, args, copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        return self._begin_timer(self._microseconds / 1_000_000 + delay, callback, args, context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        return self._begin_timer(when, callback, args, context)

    def _begin_timer(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> _TimerHandle:
        if self._closed:
            self._check_closed()
        timer = _TimerHandle(callback, args, copy_context() if context is None else context, when, self)
        heappush(self._scheduled, (when, timer))
        return timer

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """On the threads of the process that calls, if it has any; the executor is not used."""
        its = fate.get()
        if its is None or its.threads is None:
            return super().run_in_executor(executor, func, *args)
        return asyncio.ensure_future(its.threads.call(lambda: func(*args)))

    def _run_once(self) -> None:
        """All iterations until somebody stops the loop; each runs what was ready or due when it began."""
        ready = self._ready
        while True:
            self.iterations += 1
            if self.iterations > ITERATIONS_MAX:
                self.iterations = 0
                raise Livelock(f"no end after {ITERATIONS_MAX:,} iterations of the loop, at {self.time():.3f} s")
            self._make_ready()
            for _ in range(len(ready)):
                handle = ready.popleft()
                if handle._cancelled:
                    continue
                context = handle._context
                its = context.get(fate)
                if its is not None and its.is_stopped:
                    its.hold_back(handle)
                    continue
                try:
                    context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self.call_exception_handler({"message": f"an error in {handle!r}", "exception": error})
            if self._stopping:
                return

    def run_soon(self, handles: list[_Handle | _TimerHandle]) -> None:
        """Run callbacks that were held back; those cancelled meanwhile are left out."""
        self._ready.extend(handles)
