"""Completion: ``asyncio.wait``, ``as_completed`` and ``wait_for`` in an order that is the same in every replay.

asyncio answers with sets, whose order hangs on hashes: on the numbers of all futures made before. An edit that is
otherwise harmless, or another version of Python, would change it, and with it the order in which code asks for what
comes next. Inside a workflow, sets of tasks therefore iterate in the order in which the tasks were made, and what is
complete already comes in the order of the arguments. ``wait_for`` is what it is since Python 3.12: before, it cancelled
what it waited for by a detour, later than others that were cancelled with it. Outside of workflows nothing changes.

``wait`` is changed where asyncio itself looks it up, so that ``from asyncio import wait`` gets it too; for
``as_completed`` and ``wait_for`` there is no such place: code that imported the name before a worker was started has
the plain one.
"""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from .loop import WorkflowLoop


class ByAge(set[Any]):
    """A set of tasks and futures that iterates in the order of their creation."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=_number))

    def pop(self) -> Any:
        """Remove and return the oldest."""
        if not self:
            raise KeyError("pop from an empty set")
        oldest = next(iter(self))
        self.remove(oldest)
        return oldest


def _number(future: Any) -> int:
    return getattr(future, "number", 0)


def _keeps_order(name: str) -> Callable[..., Any]:
    plain = getattr(set, name)

    def method(self: ByAge, *others: Any) -> Any:
        made = plain(self, *others)
        return ByAge(made) if isinstance(made, set) else made

    return method


for _name in ("__and__", "__or__", "__sub__", "__xor__", "copy", "difference", "intersection", "union"):
    setattr(ByAge, _name, _keeps_order(_name))


class AsCompleted:
    """What ``asyncio.as_completed`` returns inside a workflow; see there. Both ways of iterating are supported."""

    def __init__(self, fs: Iterable[Any], timeout: float | None, loop: WorkflowLoop) -> None:
        if asyncio.isfuture(fs) or asyncio.iscoroutine(fs):
            raise TypeError(f"expect an iterable of futures, not {type(fs).__name__}")
        self._todo = dict.fromkeys([asyncio.ensure_future(each, loop=loop) for each in fs])
        self._left = len(self._todo)
        self._done: asyncio.Queue[asyncio.Future[Any] | None] = asyncio.Queue()
        self._timer = loop.call_later(timeout, self._expire) if timeout is not None and self._todo else None
        for each in self._todo:
            each.add_done_callback(self._completed)

    def _completed(self, future: asyncio.Future[Any]) -> None:
        if future in self._todo:
            del self._todo[future]
            self._done.put_nowait(future)
            if not self._todo and self._timer is not None:
                self._timer.cancel()

    def _expire(self) -> None:
        for each in self._todo:
            each.remove_done_callback(self._completed)
            self._done.put_nowait(None)
        self._todo.clear()

    def __iter__(self) -> AsCompleted:
        return self

    def __next__(self) -> Coroutine[Any, Any, Any]:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return self._result_of_next()

    async def _result_of_next(self) -> Any:
        return (await self._next()).result()

    def __aiter__(self) -> AsCompleted:
        return self

    async def __anext__(self) -> asyncio.Future[Any]:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return await self._next()

    async def _next(self) -> asyncio.Future[Any]:
        future = await self._done.get()
        if future is None:
            raise TimeoutError
        return future


async def _wait_for_durably(awaited: Any, timeout: float | None, loop: WorkflowLoop) -> Any:
    if timeout is None or timeout > 0:
        async with asyncio.timeout(timeout):
            return await awaited
    future = loop.task(awaited, loop.current_scope(), None, None) if asyncio.iscoroutine(awaited) else awaited
    future = asyncio.ensure_future(future)
    if not future.done():
        future.cancel()
        await asyncio.wait([future])
    try:
        return future.result()
    except asyncio.CancelledError as error:
        raise TimeoutError from error


_plain_wait_for: Callable[..., Any] = asyncio.wait_for
_plain_as_completed = asyncio.as_completed
_plain_wait: Callable[..., Any] = asyncio.tasks._wait  # type: ignore[attr-defined]


def _as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Any:
    loop = _get_running_loop()
    if isinstance(loop, WorkflowLoop):
        return AsCompleted(fs, timeout, loop)
    return _plain_as_completed(fs, timeout=timeout)


def _wait_for(fut: Any, timeout: float | None) -> Any:
    loop = _get_running_loop()
    if isinstance(loop, WorkflowLoop):
        return _wait_for_durably(fut, timeout, loop)
    return _plain_wait_for(fut, timeout)


async def _wait(fs: Any, timeout: float | None, return_when: str, loop: Any) -> tuple[set[Any], set[Any]]:
    done, pending = await _plain_wait(fs, timeout, return_when, loop)
    return (ByAge(done), ByAge(pending)) if isinstance(loop, WorkflowLoop) else (done, pending)


def make_completion_ordered() -> None:
    """Let ``asyncio.wait``, ``asyncio.as_completed`` and ``asyncio.wait_for`` keep order inside workflows."""
    if asyncio.as_completed is _plain_as_completed:
        asyncio.wait_for = _wait_for
        asyncio.tasks.wait_for = _wait_for
        asyncio.as_completed = _as_completed
        asyncio.tasks.as_completed = _as_completed
        asyncio.tasks._wait = _wait  # type: ignore[attr-defined]
