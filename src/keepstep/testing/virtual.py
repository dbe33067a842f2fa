"""Virtual time: an event loop that never waits, and the engine's clock on it.

When nothing is ready, the loop's time jumps to its next timer. A day of retries and sleeps takes as long as its
callbacks do, and the same program makes the same steps at the same microsecond in every run. Time is a whole number of
microseconds, and a timer never fires before its time.

What the loop refuses: sockets, pipes, subprocesses, signals, and threads that talk to it, because real I/O has no
place in virtual time. Functions handed to ``run_in_executor`` (and so ``asyncio.to_thread``) run on the loop's own
thread, one after the other, so that sync steps can be simulated too; one that blocks blocks everything.

A loop with nothing ready and no timer would wait for ever: it raises ``Stuck`` and names what is still waiting.

It stands on ``asyncio.BaseEventLoop`` and has an iteration of its own (``_run_once``), which does what that of asyncio
does, in the same order, except that it lets time pass where the other would wait for I/O. A simulation spends its life
in it, so it keeps its timers beside their times in the heap: comparing tuples of numbers needs no Python code.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from keepstep.journal import ClockAnchor, Error

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH_MICROSECONDS = 1_767_225_600_000_000
"""Where engine time begins in a simulation: 2026-01-01T00:00:00Z."""

RESOLUTION_SECONDS = 1e-7
"""Below a microsecond: no timer that is not due runs with one that is."""

JUMP_SECONDS_MAX = 24 * 3600.0
"""Time jumps no further at once."""

TIMERS_SIFTED_MIN = 100
"""So many timers are worth to be looked through for cancelled ones, if those are more than half of them."""

WAITING_NAMED_MAX = 20
"""How many waiting tasks ``Stuck`` names."""


class Stuck(Error):
    """Nothing is ready and no timer is set, but the program has not ended: it would wait for ever."""


class RealInputOutput(Error):
    """Something under virtual time reached for the real world."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose time jumps. ``random`` is seeded, for whoever needs chance in a simulation."""

    _ready: deque[Any]
    _closed: bool
    _stopping: bool
    _check_closed: Callable[[], None]

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self._thread = threading.get_ident()
        self._microseconds = 0
        self._scheduled: list[tuple[float, Any]] = []
        self._timers_cancelled = 0
        """About so many of those in ``_scheduled``; some have come due unnoticed."""

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._microseconds / 1_000_000

    def microseconds(self) -> int:
        """The same, exactly."""
        return self._microseconds

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call a function when that time has come; of two timers of one time, in no order that is promised."""
        if self._closed:
            self._check_closed()
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._schedule(when, timer)
        return timer

    def _schedule(self, when: float, timer: Any) -> None:
        heapq.heappush(self._scheduled, (when, timer))
        timer._scheduled = True

    def _timer_handle_cancelled(self, timer: Any) -> None:
        """Called by a timer that is cancelled."""
        if timer._scheduled:
            self._timers_cancelled += 1

    def _run_once(self) -> None:
        """One iteration: what is ready or due runs, and nothing that it makes ready."""
        self._make_ready()
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _make_ready(self) -> None:
        """Time jumps to the next timer if nothing is ready; what is due now is ready."""
        scheduled, ready = self._scheduled, self._ready
        if scheduled and (
            scheduled[0][1]._cancelled or self._timers_cancelled * 2 > len(scheduled) > TIMERS_SIFTED_MIN
        ):
            self._drop_cancelled()
        now = self._microseconds / 1_000_000
        if not ready and not self._stopping:
            if not scheduled:
                self._tell_stuck()
            delay = scheduled[0][0] - now
            if delay > 0:
                self._microseconds += _whole_microseconds(delay if delay < JUMP_SECONDS_MAX else JUMP_SECONDS_MAX)
                now = self._microseconds / 1_000_000
        if not scheduled:
            return
        end = now + RESOLUTION_SECONDS
        if end == now:  # after a third of a century floating-point numbers lie further apart
            end = math.nextafter(now, math.inf)
        while scheduled[0][0] < end:
            timer = heapq.heappop(scheduled)[1]
            timer._scheduled = False
            ready.append(timer)
            if not scheduled:
                break

    def _drop_cancelled(self) -> None:
        """Take cancelled timers away that are next; or all of them, if they are many."""
        scheduled = self._scheduled
        if len(scheduled) > TIMERS_SIFTED_MIN and self._timers_cancelled > len(scheduled) / 2:
            for _, timer in scheduled:
                timer._scheduled = not timer._cancelled
            scheduled[:] = [each for each in scheduled if each[1]._scheduled]
            heapq.heapify(scheduled)
            self._timers_cancelled = 0
        while scheduled and scheduled[0][1]._cancelled:
            self._timers_cancelled -= 1
            heapq.heappop(scheduled)[1]._scheduled = False

    def _tell_stuck(self) -> NoReturn:
        raise Stuck(
            f"nothing is ready and no timer is set at {self.time()} s; these wait for ever:\n  "
            + self.describe_waiting()
        )

    def advance(self, seconds: float) -> None:
        """Let time pass, rounded up to a microsecond. Called by the loop; by a test, to simulate a stall."""
        if seconds > 0:
            self._microseconds += _whole_microseconds(seconds)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run a function on this very thread, in a later iteration. The executor is not used."""
        future: asyncio.Future[T] = self.create_future()
        self.call_soon(self._run_inline, future, func, args)
        return future

    def _run_inline(self, future: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...]) -> None:
        if future.cancelled():
            return
        asyncio._set_running_loop(None)  # the function believes to be in a thread, where no loop runs
        try:
            outcome = func(*args)
        except BaseException as error:  # as a thread does, whose SystemExit is not the process's
            future.set_exception(error)
        else:
            future.set_result(outcome)
        finally:
            asyncio._set_running_loop(self)

    def describe_waiting(self) -> str:
        """What the tasks that have not ended wait for."""
        waiting = sorted(f"{task.get_name()}: {_where(task)}" for task in asyncio.all_tasks(self))
        more = len(waiting) - WAITING_NAMED_MAX
        return "\n  ".join(waiting[:WAITING_NAMED_MAX] + ([f"and {more} more"] if more > 0 else []))

    def _write_to_self(self) -> None:
        """A thread wakes a real loop by this; here ``call_soon_threadsafe`` comes from the loop's own thread."""

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """``call_soon``, and refused from another thread."""
        if threading.get_ident() != self._thread:
            refuse("a thread that calls back")
        return self.call_soon(callback, *args, context=context)


def _whole_microseconds(seconds: float) -> int:
    """Rounded up; less than half a nanosecond too much is the error of a number, and no time."""
    microseconds = seconds * 1_000_000
    whole = int(microseconds)
    return whole if microseconds - whole < 0.0005 else whole + 1


def refuse(what: str) -> NoReturn:
    raise RealInputOutput(
        f"{what} has no place in virtual time; hand in something simulated instead, or mock the step that does it"
    )


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refused(*_: object, **__: object) -> NoReturn:
        refuse(f"loop.{name}()")

    refused.__name__ = name
    return refused


_REAL = """
add_reader add_writer remove_reader remove_writer add_signal_handler
sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendto sock_connect sock_accept
sock_sendfile create_connection create_server create_unix_connection create_unix_server create_datagram_endpoint
connect_accepted_socket connect_read_pipe connect_write_pipe sendfile start_tls getaddrinfo getnameinfo
subprocess_exec subprocess_shell
""".split()

for _name in _REAL:
    setattr(VirtualLoop, _name, _refusing(_name))


def _where(task: asyncio.Task[Any]) -> str:
    """The line at which a task waits: that of the innermost coroutine, not of the task's own."""
    inner: Any = task.get_coro()
    while asyncio.iscoroutine(getattr(inner, "cr_await", None)):
        inner = inner.cr_await
    frame = getattr(inner, "cr_frame", None)
    return "unknown" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


class VirtualClock:
    """``journal.Clock`` on a virtual loop. Each simulated process has its own; the wall clocks can be moved apart.

    Engine time follows the loop. ``move_wall`` moves this process's wall clock, which engine time does not follow.
    """

    def __init__(self, loop: VirtualLoop, *, boot_id: str = "virtual", wall_offset: int = 0) -> None:
        self._loop = loop
        self._boot_id = boot_id
        self._wall = EPOCH_MICROSECONDS + wall_offset
        self._engine = self._wall

    def now(self) -> int:
        return self._engine + self._loop.microseconds()

    def monotonic(self) -> float:
        return self._loop.time()

    def jump(self) -> int:
        return self._wall - self._engine

    def move_wall(self, microseconds: int) -> None:
        """Set the wall clock forward or back, as an operator or NTP would."""
        self._wall += microseconds

    def anchor(self) -> ClockAnchor:
        return ClockAnchor(self._boot_id, self._loop.microseconds(), self.now())

    def adopt(self, anchor: ClockAnchor) -> None:
        if anchor.boot_id == self._boot_id:
            self._engine = anchor.engine_microseconds - anchor.boot_microseconds


def run(main: Callable[[], Coroutine[Any, Any, T]], *, seed: int = 0) -> T:
    """Run a program to its end in virtual time and return what it returns.

    ``main`` is called within the loop, so that ``asyncio.get_running_loop()`` is the ``VirtualLoop``; its ``random``
    is seeded with ``seed``. Raises what ``main`` raises, ``Stuck``, ``RealInputOutput``.
    """
    loop = VirtualLoop(seed=seed)
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(_begin(main))
    finally:
        try:
            _end(loop)
        finally:
            asyncio.set_event_loop(None)
            loop.close()


async def _begin(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return await main()


def _end(loop: VirtualLoop) -> None:
    """Cancel what is left, as ``asyncio.run`` does, so that ``finally`` blocks run."""
    left = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
