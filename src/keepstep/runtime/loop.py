"""The deterministic event loop on which workflow code runs.

One loop belongs to one run. It has no selector, no thread and no clock of its own: it runs what is ready until nothing
is (``run_until_quiet``), and whatever would make it wait (a timer, a step, a message) is an operation that the run's
history answers. Hence ``asyncio.sleep``, ``gather``, ``TaskGroup``, ``timeout``, ``wait``, ``Queue`` and ``Lock`` are
durable: they are built from ``call_soon``, ``call_at`` and futures, and those are all ours.

Invariants

* Order is a function of the events delivered. Tasks and futures hash by creation number, so that sets of them (in
  ``asyncio.wait``, in ``TaskGroup``) iterate alike in every process; ``asyncio.as_completed`` is given its coroutines
  as tasks, in argument order, because a set of coroutines would iterate by address.
* ``time()`` is seconds since the run's start at the event being delivered. It stands still during a turn.
* A turn runs inside a callback of the worker's own loop, never inside one of its tasks; asyncio's notion of the current
  loop is swapped for the turn and put back after it.

The loop's semantics carry a version, recorded when a run starts (``LOOP_VERSION``).
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import events as asyncio_events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import Restless
from .guard import outside_call
from .scope import Scope

if TYPE_CHECKING:
    from .execution import Execution
    from .operation import Operation

LOOP_VERSION = 1

TURN_CALLBACKS_MAX = 1_000_000
"""A turn that runs more callbacks than this does not come to rest; the run is blocked."""

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
    """A future whose hash is its creation number, and which tells its operation when nobody wants it any more."""

    def __init__(self, loop: WorkflowLoop, operation: Operation | None = None) -> None:
        self.number = loop.next_number()
        super().__init__(loop=loop)
        self.operation = operation
        self.workflow_loop = loop

    def __hash__(self) -> int:
        return self.number

    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled and self.operation is not None:
            self.workflow_loop.execution.abandon(self.operation)
        return cancelled


class WorkflowTask(asyncio.Task[Any]):
    """A task whose hash is its creation number and which carries the scope of its keys."""

    def __init__(self, coro: Any, loop: WorkflowLoop, scope: Scope, name: str | None, context: Context | None) -> None:
        self.number = loop.next_number()
        self.scope = scope
        super().__init__(coro, loop=loop, name=name or f"Task-{self.number}", context=context)

    def __hash__(self) -> int:
        return self.number


class WorkflowLoop(asyncio.AbstractEventLoop):
    """See the module's docstring."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._ready: deque[Ready] = deque()
        self._now_seconds = 0.0
        self._numbers = 0
        self._tasks: set[WorkflowTask] = set()
        self._closed = False
        self._running = False
        self.root = Scope("")
        self.errors: list[BaseException] = []

    # running

    def run_until_quiet(self, now_seconds: float) -> None:
        """Run what is ready, and what becomes ready by it, until nothing is. Time stands at ``now_seconds``."""
        self._now_seconds = now_seconds
        ready = self._ready
        with self._entered():
            for _ in range(TURN_CALLBACKS_MAX):
                if not ready:
                    return
                handle = ready.popleft()
                if handle.callback is not None:
                    handle.context.run(handle.callback, *handle.args)
        raise Restless(TURN_CALLBACKS_MAX)

    def _entered(self) -> _Entered:
        return _Entered(self)

    def unwind(self) -> None:
        """Close every coroutine that is still suspended. The execution has been cut off from its journal before."""
        self._closed = True
        with self._entered():
            for task in sorted(self._tasks, key=lambda each: -each.number):
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine = task.get_coro()
                if coroutine is not None and not task.done():
                    try:
                        coroutine.close()
                    except BaseException as error:  # noqa: BLE001 - user code in ``finally``; the run is elsewhere now
                        self.errors.append(error)
        self._tasks.clear()
        self._ready.clear()

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
        else:
            handle.operation = self.execution.begin_timer(delay, handle)
        return handle

    def fire(self, handle: Ready) -> None:
        """A timer's event was delivered: its callback is ready."""
        self._ready.append(handle)

    def create_future(self) -> Any:
        return WorkflowFuture(self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Any,
        *,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> Any:
        task = WorkflowTask(coro, self, self._scope_for(coro, name), name, context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _scope_for(self, coro: Any, name: str | None) -> Scope:
        """A task of user code opens a scope below its creator's; a task around one durable call does not.

        Up to Python 3.11 ``asyncio.wait_for`` runs its argument in a task of its own, later versions do not; the scope
        is shared there, so that keys are the same on every version.
        """
        parent = self.current_scope()
        if getattr(coro, "is_durable_call", False) or _called_by_wait_for():
            return parent
        element = name if name is not None else getattr(coro, "__name__", type(coro).__name__)
        return parent.child(element)

    def current_scope(self) -> Scope:
        task = asyncio.current_task(self)
        return self.root if task is None else task.scope  # type: ignore[attr-defined]

    # what code may ask of any loop

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return False

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
        if error is not None:
            self.errors.append(error)

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: generators end with the run."""

    # async generators

    def _generator_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed:
            self.create_task(generator.aclose(), name="aclose")


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


class _Entered:
    """While entered, the workflow's loop is asyncio's running loop of this thread."""

    __slots__ = ("loop", "outer", "outer_hooks")

    def __init__(self, loop: WorkflowLoop) -> None:
        self.loop = loop

    def __enter__(self) -> None:
        self.outer = asyncio_events._get_running_loop()
        self.outer_hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, self.loop._generator_dropped)
        asyncio_events._set_running_loop(self.loop)
        self.loop._running = True

    def __exit__(self, *_: object) -> None:
        self.loop._running = False
        asyncio_events._set_running_loop(self.outer)
        sys.set_asyncgen_hooks(*self.outer_hooks)


_WAIT_FOR_CODE = asyncio.wait_for.__code__
_WAIT_FOR_MAKES_A_TASK = sys.version_info < (3, 12)


def _called_by_wait_for() -> bool:
    if not _WAIT_FOR_MAKES_A_TASK:
        return False
    frame = sys._getframe(3)
    return any(
        caller is not None and caller.f_code is _WAIT_FOR_CODE
        for caller in (frame, frame.f_back, frame.f_back and frame.f_back.f_back)
    )


_plain_as_completed = asyncio.as_completed


def _as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Iterator[Any]:
    loop = asyncio_events._get_running_loop()
    if isinstance(loop, WorkflowLoop):
        fs = [asyncio.ensure_future(each, loop=loop) for each in fs]
    return _plain_as_completed(fs, timeout=timeout)


def make_as_completed_ordered() -> None:
    """Let ``asyncio.as_completed`` start coroutines in argument order inside workflows; elsewhere it is as it was."""
    if asyncio.as_completed is _plain_as_completed:
        asyncio.as_completed = _as_completed
        asyncio.tasks.as_completed = _as_completed
