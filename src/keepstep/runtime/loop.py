"""The deterministic event loop on which workflow code runs.

One loop belongs to one run. It has no selector, no thread and no clock of its own: it runs what is ready until nothing
is (``run_until_quiet``), and whatever would make it wait (a timer, a step, a message) is an operation that the run's
history answers. Hence ``asyncio.sleep``, ``gather``, ``TaskGroup``, ``timeout``, ``wait``, ``Queue`` and ``Lock`` are
durable: they are built from ``call_soon``, ``call_at`` and futures, and those are all ours.

Invariants

* Order is a function of the events delivered. Tasks and futures hash by run and creation number, so that sets of them
  (in ``TaskGroup``) iterate alike in every process; ``completion`` gives those of ``asyncio.wait`` an order that does
  not hang on the numbers themselves.
* ``time()`` is seconds since the run's start at the event being delivered. It stands still during a turn.
* A turn runs inside a callback of the worker's own loop, never inside one of its tasks; asyncio's notion of the current
  loop is swapped for the turn and put back after it.

The loop's semantics carry a version, recorded when a run starts (``LOOP_VERSION``).
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from sys import get_asyncgen_hooks
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet
from zlib import crc32

from .data.duration import DURATION_SECONDS_MAX
from .errors import Restless
from .generators import FirstIteration, OwnerOfGenerators, hear_of_generators
from .guard import outside_call
from .scope import Scope

if TYPE_CHECKING:
    from .crossing import Crossing
    from .execution import Execution
    from .operation import Operation

logger = logging.getLogger("keepstep.workflow")

LOOP_VERSION = 1

TURN_CALLBACKS_MAX = 1_000_000
"""A turn that runs more callbacks than this does not come to rest; the run is blocked."""

CLOSINGS_MAX = 100
"""So often is a coroutine closed that waits again each time."""

T = TypeVar("T")


class Ready:
    """A callback that waits for its turn; what ``call_soon`` returns."""

    __slots__ = ("args", "callback", "context", "is_cancelled")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        return self.is_cancelled


class DurableTimer(Ready):
    """A callback that waits for a durable timer; what ``call_at`` returns."""

    __slots__ = ("loop", "operation", "scheduled_for")

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context, loop: WorkflowLoop
    ) -> None:
        super().__init__(callback, args, context)
        self.scheduled_for = when
        self.loop = loop
        self.operation: Operation | None = None

    def when(self) -> float:
        return self.scheduled_for

    def cancel(self) -> None:
        if not self.is_cancelled and self.operation is not None:
            self.loop.execution.abandon(self.operation)
        super().cancel()


class WorkflowFuture(asyncio.Future[Any]):
    """A future whose hash is its creation number, and which tells its operation when nobody wants it any more.

    Made by ``WorkflowLoop.future``. There is one for every step, so it has no ``__init__`` of its own.
    """

    number: int
    asked_at: int
    """Engine time at which code began to wait; of futures that stand for signals and predicates."""
    operation: Operation | None
    workflow_loop: WorkflowLoop

    def __hash__(self) -> int:
        return self.number

    def cancel(self, msg: Any | None = None) -> bool:
        if self.operation is not None and self.workflow_loop.execution.have_it_end(self.operation):
            return True  # it will be cancelled, when that has ended
        cancelled = super().cancel(msg)
        if cancelled and self.operation is not None:
            self.workflow_loop.execution.abandon(self.operation)
        return cancelled


class WorkflowTask(asyncio.Task[Any]):
    """A task whose hash is its creation number and which carries the scope of its keys."""

    crossing: Crossing | None = None
    """In a task that runs a sync function."""

    def __init__(self, coro: Any, loop: WorkflowLoop, scope: Scope, name: str | None, context: Context | None) -> None:
        self.number = loop.next_number()
        self.scope = scope
        super().__init__(coro, loop=loop, name=name or f"Task-{self.number & 0xFFFFF}", context=context)

    def __hash__(self) -> int:
        return self.number


class WorkflowLoop(OwnerOfGenerators):
    """See the module's docstring."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._ready: deque[Ready] = deque()
        self._now_seconds = 0.0
        self._numbers: int
        """Numbers of different runs lie far apart: asyncio keeps all tasks of a process in one set."""
        self.number_as(execution.identity.run_id)
        self._tasks: set[WorkflowTask] = set()
        self.generators: WeakSet[Any] = WeakSet()
        self._closed = False
        self._running = False
        self.crossing: Crossing | None = None
        """Of the sync function that is running now (``crossing``)."""
        self.root = Scope("")
        self.errors: list[BaseException] = []

    def number_as(self, run_id: str) -> None:
        """Number as in another run, so that sets of tasks iterate as they did there."""
        self._numbers = crc32(run_id.encode()) << 20

    # running

    def run_until_quiet(self, now_seconds: float) -> None:
        """Run what is ready, and what becomes ready by it, until nothing is. Time stands at ``now_seconds``."""
        self._now_seconds = now_seconds
        ready = self._ready
        outer = _get_running_loop()
        if type(get_asyncgen_hooks().firstiter) is not FirstIteration:
            hear_of_generators()
        _set_running_loop(self)
        self._running = True
        try:
            for _ in range(TURN_CALLBACKS_MAX):
                if not ready:
                    return
                handle = ready.popleft()
                if handle.callback is None:
                    continue
                try:
                    handle.context.run(handle.callback, *handle.args)
                except (Restless, SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # also the CancelledError that asking a cancelled task for its result is
                    self.call_exception_handler({"message": "an error in a callback", "exception": error})
        finally:
            self._running = False
            _set_running_loop(outer)
        raise Restless(TURN_CALLBACKS_MAX)

    def _entered(self) -> _Entered:
        return _Entered(self)

    def is_disturbed(self) -> bool:
        """True if something is ready to run outside of a turn."""
        return bool(self._ready)

    def unwind(self) -> None:
        """Close every coroutine that is still suspended. The execution has been cut off from its journal before."""
        self._closed = True
        with self._entered():
            for generator in list(self.generators):  # closing whoever iterates them would not reach what they wait for
                if generator.ag_await is not None:
                    self._close_coroutine(generator.ag_await)
            for task in sorted(self._tasks, key=lambda each: -each.number):
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                if not task.done():
                    self._close_coroutine(task.get_coro())
        self._tasks.clear()
        self._ready.clear()

    def __del__(self) -> None:
        """Thrown away, as by an engine that nobody closes. Made before all that runs on it, it is finalized first.

        Coroutines that are freed while they are suspended run their ``finally`` blocks, and would do so outside of the
        run, where steps are plain functions.
        """
        if not self._closed:
            self.execution.detach()

    def _close_coroutine(self, coroutine: Any) -> None:
        """Close a coroutine to its end, here and now: what ran later would take itself for code outside of a workflow.

        Cleaning up may wait, as a ``TaskGroup`` does for its tasks; then the wait is closed in its turn. Code that
        catches everything and goes on for ever cannot be closed. It is left as it stands and never freed, because
        freeing it would run it once more.
        """
        for _ in range(CLOSINGS_MAX):
            with suppress(BaseException):  # an error kept would keep its frames, and what runs when they are freed
                coroutine.close()
            if getattr(coroutine, "cr_frame", None) is None:
                return
        run = self.execution.identity
        logger.error("workflow %s, run %s: its code catches BaseException and cannot be ended", run.type, run.run_id)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))

    # what asyncio builds on

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def time(self) -> float:
        return self._now_seconds

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        handle = Ready(callback, args, copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self._now_seconds + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        handle = DurableTimer(when, callback, args, copy_context() if context is None else context, self)
        delay = when - self._now_seconds
        if delay <= 0:
            self._ready.append(handle)
        elif delay <= DURATION_SECONDS_MAX:  # what lies behind it, as infinity does, never comes
            handle.operation = self.execution.begin_timer(delay, handle)
        return handle

    def fire(self, handle: Ready) -> None:
        """A timer's event was delivered: its callback is ready."""
        self._ready.append(handle)

    def future(self, operation: Operation | None = None) -> WorkflowFuture:
        """A future that belongs to this run, and perhaps to an operation of it."""
        future = WorkflowFuture(loop=self)
        self._numbers = future.number = self._numbers + 1
        future.operation = operation
        future.workflow_loop = self
        return future

    def create_future(self) -> Any:
        return self.future()

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Any,
        *,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> Any:
        return self.task(coro, self._scope_for(coro), name, context)

    def task(self, coro: Any, scope: Scope, name: str | None, context: Context | None) -> WorkflowTask:
        """A task of this run whose keys stand in that scope."""
        if self.execution.handling.is_answering:
            coro.close()
            self.execution.refuse_while_answering("asyncio.create_task")
        task = WorkflowTask(coro, self, scope, name, context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _scope_for(self, coro: Any) -> Scope:
        """A task of user code opens a scope below its creator's; a task around one durable call does not.

        Keys are the same on every version of Python. So the scope is called as the coroutine is, not as the task: up to
        Python 3.12 asyncio tells the loop no names. And up to Python 3.11 ``asyncio.wait_for`` always runs its argument
        in a task of its own, later versions only for a timeout of nothing; the scope is shared there.
        """
        parent = self.current_scope()
        if getattr(coro, "is_durable_call", False) or _called_by_wait_for():
            return parent
        return parent.child(getattr(coro, "__name__", type(coro).__name__))

    def current_scope(self) -> Scope:
        """Where the keys of what is asked for now stand."""
        task = task_of(self)
        if task is None:
            return self.root
        if type(task) is not WorkflowTask:
            raise RuntimeError(f"{task!r:.200} was not made by asyncio.create_task(), and so has no place in keys")
        return task.scope

    # what code may ask of any loop

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    get_debug = staticmethod(bool)  # False, by a call that stays in C: every future asks

    def set_debug(self, enabled: bool) -> None:
        """Accepted and without effect: debug mode would read the wall clock."""

    def get_task_factory(self) -> None:
        return None

    def get_exception_handler(self) -> None:
        return None

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and not self._closed:
            self.errors.append(error)
            run = self.execution.identity
            what = context.get("message", "error in a callback")
            logger.error("workflow %s, run %s: %s", run.type, run.run_id, what, exc_info=error)

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: generators end with the run."""


_OUTSIDE = frozenset(
    "run_in_executor getaddrinfo getnameinfo create_connection create_server create_unix_connection "
    "create_unix_server create_datagram_endpoint connect_read_pipe connect_write_pipe subprocess_shell "
    "subprocess_exec add_reader add_writer sock_recv sock_recv_into sock_sendall sock_connect sock_accept "
    "add_signal_handler sendfile start_tls run_forever run_until_complete".split()
)


def _refuse(name: str) -> Callable[..., Any]:
    def refused(*_: object, **__: object) -> Any:
        raise outside_call(f"loop.{name}")

    return refused


for _name in _OUTSIDE:
    setattr(WorkflowLoop, _name, _refuse(_name))

_ENGINES_OWN = (
    "stop close set_task_factory set_exception_handler set_default_executor shutdown_default_executor".split()
)


def _keep(name: str) -> Callable[..., Any]:
    def kept(*_: object, **__: object) -> Any:
        raise RuntimeError(f"loop.{name}() has no place in a workflow, whose event loop is the engine's own")

    return kept


for _name in _ENGINES_OWN:
    setattr(WorkflowLoop, _name, _keep(_name))


class _Entered:
    """While entered, the workflow's loop is asyncio's running loop of this thread."""

    __slots__ = ("loop", "outer")

    def __init__(self, loop: WorkflowLoop) -> None:
        self.loop = loop

    def __enter__(self) -> None:
        self.outer = _get_running_loop()
        hear_of_generators()
        _set_running_loop(self.loop)
        self.loop._running = True

    def __exit__(self, *_: object) -> None:
        self.loop._running = False
        _set_running_loop(self.outer)


task_of: Callable[[asyncio.AbstractEventLoop], asyncio.Task[Any] | None]
"""The task that runs on a loop now."""
if sys.version_info >= (3, 12):
    task_of = asyncio.current_task
else:
    task_of = asyncio.tasks._current_tasks.get  # type: ignore[attr-defined]

_WAIT_FOR_CODE = asyncio.wait_for.__code__


def _called_by_wait_for() -> bool:
    frame: FrameType | None = sys._getframe(3)
    for _ in range(3):
        if frame is None or frame.f_code is _WAIT_FOR_CODE:
            return frame is not None
        frame = frame.f_back
    return False
