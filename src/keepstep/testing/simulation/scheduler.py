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
from typing import Any, Protocol, TypeVar, TypeVarTuple

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
        self._held_back: list[asyncio.Handle] = []

    def hold_back(self, handle: asyncio.Handle) -> None:
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


class _Handle(asyncio.Handle):
    """A callback. It is made as asyncio's are, without asking whether the loop is being debugged."""

    __slots__ = ()
    _callback: Callable[..., object]
    _args: tuple[Any, ...]
    _context: Context

    def __init__(self, callback: Any, args: Any, loop: SimulationLoop, context: Context | None) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = copy_context() if context is None else context
        self._cancelled = False
        self._repr = self._source_traceback = None


class _TimerHandle(asyncio.TimerHandle):
    """The same for a timer."""

    __slots__ = ()

    def __init__(self, when: float, callback: Any, args: Any, loop: SimulationLoop, context: Context | None) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = copy_context() if context is None else context
        self._cancelled = self._scheduled = False
        self._repr = self._source_traceback = None


ITERATIONS_MAX = 500_000
"""A story takes some ten thousand iterations of the loop; one that takes so many goes round in circles."""


class Livelock(Error):
    """Everybody is busy, and nothing comes of it."""


class SimulationLoop(VirtualLoop):
    """A ``VirtualLoop`` that asks a process's fate before it runs one of its callbacks."""

    iterations = 0

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        if self._closed:
            self._check_closed()
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._microseconds / 1_000_000 + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if self._closed:
            self._check_closed()
        timer = _TimerHandle(when, callback, args, self, context)
        self._schedule(when, timer)
        return timer

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """On the threads of the process that calls, if it has any; the executor is not used."""
        its = fate.get()
        if its is None or its.threads is None:
            return super().run_in_executor(executor, func, *args)
        return asyncio.ensure_future(its.threads.call(lambda: func(*args)))

    def _run_ready(self, count: int) -> None:
        """Run the next so many callbacks, except those whose process is dead or frozen."""
        self.iterations += 1
        if self.iterations > ITERATIONS_MAX:
            self.iterations = 0
            raise Livelock(f"no end after {ITERATIONS_MAX:,} iterations of the loop, at {self.time():.3f} s")
        ready = self._ready
        for _ in range(count):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            its = handle._context.get(fate)
            if its is not None and its.is_stopped:
                its.hold_back(handle)
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self.call_exception_handler({"message": f"an error in {handle!r}", "exception": error})

    def run_soon(self, handles: list[asyncio.Handle]) -> None:
        """Run callbacks that were held back; those cancelled meanwhile are left out."""
        self._ready.extend(handles)
