"""Waiting: sleep, signals, predicates, and limits to all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from keepstep.journal import InvalidInput

from .call import required
from .crossing import waits_if_sync
from .data import Duration, checked_name, reader, to_seconds
from .errors import TimedOut

if TYPE_CHECKING:
    from .execution import Arrived

T = TypeVar("T")


async def limited(awaited: Awaitable[T], seconds: float | None, what: str) -> T:
    """Wait at most so long. The limit is a durable timer; what was awaited is cancelled by it."""
    if seconds is None:
        return await awaited
    try:
        async with asyncio.timeout(seconds):
            return await awaited
    except TimeoutError as error:
        raise TimedOut(f"{what} did not come within {seconds:g} s") from error


@waits_if_sync
async def sleep(duration: Duration) -> None:
    """Wait durably: ``1.5`` seconds, ``"2h"``, a ``timedelta``. The wait survives crashes and keeps its end."""
    required("sleep")
    await asyncio.sleep(to_seconds(duration))


@overload
async def receive(name: str, type: type[T], timeout: Duration | None = None) -> T: ...
@overload
async def receive(name: str, type: Any = None, timeout: Duration | None = None) -> Any: ...
@waits_if_sync
async def receive(name: str, type: Any = None, timeout: Duration | None = None) -> Any:
    """The next signal of that name, in order of arrival, decoded as ``type``.

    A signal that came before it was asked for waits. Raises ``TimedOut``, or ``InvalidInput`` if the value does not
    fit the type, or if the workflow has a handler for signals of that name, which gets all of them.
    """
    execution = required("receive")
    checked_name(name, "the name of a signal")
    if execution.handling.takes_signal(name):
        raise InvalidInput(f"signals {name!r} go to the handler of that name, so that none is left to receive")
    waiting = execution.signals.get(name)
    if waiting:
        return reader(type)(waiting.popleft().data.payload)
    future = execution.loop.future()
    future.asked_at = execution.now
    queue = execution.receivers.setdefault(name, deque())
    queue.append(future)
    try:
        signal: Arrived = await limited(future, None if timeout is None else to_seconds(timeout), f"signal {name!r}")
    except BaseException:
        if future in queue:
            queue.remove(future)
        elif future.done() and not future.cancelled():
            execution.signals.setdefault(name, deque()).appendleft(future.result())
        raise
    return reader(type)(signal.data.payload)


@waits_if_sync
async def wait_for(predicate: Callable[[], bool], timeout: Duration | None = None) -> None:
    """Wait until the predicate holds. It is asked after everything that happens to the run, and must not await.

    Raises ``TimedOut``.
    """
    execution = required("wait_for")
    if predicate():
        return
    future = execution.loop.future()
    future.asked_at = execution.now
    execution.waits.append((predicate, future))
    await limited(future, None if timeout is None else to_seconds(timeout), "what was waited for")
