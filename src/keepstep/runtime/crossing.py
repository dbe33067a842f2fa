"""Crossing: how sync workflow code waits on the deterministic loop without a thread of its own.

A sync function of a workflow runs in a *greenlet*: a stack of its own on the worker's thread. Around it stands a task
of the run's loop like any other. Where the function calls something durable, it hands the awaitable over to that task
and its stack is put aside; when the loop has an answer, the task switches back with the value, or raises the error
there.

So a sync workflow *is* an async one to everything else: its keys, its order of events, cancellation, sagas, timeouts,
diffs, eviction and replay are those of its tasks. A run that sleeps is unwound as an async one is (``GeneratorExit``
arrives at the durable call), and neither greenlet nor stack remains.

Invariants

* A greenlet runs only within a turn, on the thread of the worker's loop, and its parent is whoever switched to it: what
  it returns or raises arrives there.
* ``loop.crossing`` is the crossing whose function runs right now, and None while anything else does: the loop, async
  code, a predicate. It is how a durable call knows whether to wait or to return an awaitable.
* A function that is suspended is never freed, as its own stack holds it: freeing it would run its ``finally`` blocks
  outside of the run, where steps are plain functions. It returns, or it is unwound.
* The function runs in the context (``contextvars``) of its task.

Prior art: SQLAlchemy's ``greenlet_spawn``. The other way, a thread for each run that is in memory, was not taken: every
durable call would pay two hand-overs between threads, and to unwind a run for eviction one would have to wait for them.
"""

from __future__ import annotations

import asyncio
import functools
from asyncio.events import _get_running_loop
from collections.abc import Awaitable, Callable, Coroutine
from importlib.util import find_spec
from types import FrameType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from keepstep.journal import InvalidInput

from .loop import WorkflowLoop

if TYPE_CHECKING:
    from greenlet import greenlet

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, Any]])


class Crossing:
    """One call of a sync function on a loop. See the module's docstring."""

    __slots__ = ("_getcurrent", "_loop", "_outer", "fiber")

    def __init__(self, loop: WorkflowLoop, call: Callable[[], Any]) -> None:
        from greenlet import getcurrent, greenlet

        self._loop = loop
        self._getcurrent: Callable[[], greenlet] = getcurrent
        self._outer: greenlet = getcurrent()
        """Who has switched to the function."""
        self.fiber: greenlet = greenlet(call)
        self.fiber.gr_context = self._outer.gr_context

    @property
    def frame(self) -> FrameType | None:
        """Where the function stands while it waits."""
        frame: FrameType | None = self.fiber.gr_frame
        return frame

    def enter(self, switch: Callable[..., Any], *arguments: Any) -> Any:
        """Run the function until it waits, which gives what it waits for, or ends, which gives what it returns.

        ``switch`` is the greenlet's ``switch``, with what was waited for, or its ``throw``, with an error to raise.
        """
        here = self._getcurrent()
        if here is not self._outer:
            self._outer = self.fiber.parent = here
        self._loop.crossing = self
        try:
            return switch(*arguments)
        finally:
            self._loop.crossing = None

    def wait(self, awaited: Awaitable[R]) -> R:
        """Called by the function: wait for something on the loop; its result."""
        if self._getcurrent() is not self.fiber:
            close = getattr(awaited, "close", None)
            if close is not None:
                close()
            raise RuntimeError("a durable call of a sync workflow was made from another greenlet than the workflow's")
        result: R = self._outer.switch(awaited)
        return result


async def cross(fn: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Run a sync function of a workflow in the current task."""
    loop = _get_running_loop()
    assert isinstance(loop, WorkflowLoop)
    crossing = Crossing(loop, functools.partial(fn, *args, **kwargs))
    fiber, enter = crossing.fiber, crossing.enter
    task: Any = asyncio.current_task()
    around, task.crossing = task.crossing, crossing
    try:
        awaited = enter(fiber.switch)
        while not fiber.dead:
            try:
                value = await awaited
            except BaseException as error:
                awaited = enter(fiber.throw, error)
            else:
                awaited = enter(fiber.switch, value)
    finally:
        task.crossing = around
    if asyncio.iscoroutine(awaited):
        awaited.close()
        raise TypeError(f"{getattr(fn, '__qualname__', fn)} is no async function, and has returned a coroutine")
    result: R = awaited
    return result


def awaitable(fn: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """What async code of ours calls in place of a function that it was given: one of sync code crosses over."""
    task: Any = asyncio.current_task()
    return fn if task.crossing is None or hasattr(fn, "__keepstep__") else functools.partial(cross, fn)


def crossing_now() -> Crossing | None:
    """The crossing whose sync function is running on this thread, if any."""
    loop = _get_running_loop()
    return loop.crossing if type(loop) is WorkflowLoop else None


def waits_if_sync(fn: F) -> F:
    """Let sync workflow code wait for what an async function of ours does; others get its coroutine, as ever."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        coroutine = fn(*args, **kwargs)
        crossing = crossing_now()
        return coroutine if crossing is None else crossing.wait(coroutine)

    return call  # type: ignore[return-value]


def check_can_cross(what: str) -> None:
    """Raises ``InvalidInput`` where the library that sync workflows run on is not installed."""
    if find_spec("greenlet") is None:
        raise InvalidInput(
            f"{what} is a sync workflow, which needs the package greenlet: pip install 'keepstep[sync]', "
            "or write it with async def"
        )
