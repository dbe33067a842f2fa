"""Branches: what sync workflow code has begun and waits for later: steps, children, functions of its own.

Async code has ``asyncio`` for this: ``create_task``, ``gather``, ``timeout``. These are the same things, for code that
cannot await.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

from keepstep.journal import InvalidInput

from .call import required
from .crossing import Crossing, cross, crossing_now, waits_if_sync
from .data import Duration, to_seconds
from .waiting import limited

P = ParamSpec("P")
R = TypeVar("R")


class Handle(Generic[R]):
    """Something that was begun. ``handle.result()`` waits for it; async code awaits the handle."""

    def __init__(self, future: asyncio.Future[R], what: str) -> None:
        self._future = future
        self._what = what

    def __repr__(self) -> str:
        return f"<handle of {self._what}>"

    @waits_if_sync
    async def _result(self, timeout: Duration | None) -> R:
        if timeout is None:
            return await self._future
        # Shielded: a wait that ran out does not give it up; it can be waited for again.
        return await limited(asyncio.shield(self._future), to_seconds(timeout), f"the result of {self._what}")

    def result(self, timeout: Duration | None = None) -> R:
        """Wait for its result. Raises what it raises, and ``TimedOut`` when the wait ran out, while it goes on."""
        if crossing_now() is None:
            raise RuntimeError("handle.result() waits, which only sync workflow code can; await the handle")
        return self._result(timeout)  # type: ignore[return-value]

    def done(self) -> bool:
        """Whether it has come to its end."""
        return self._future.done()

    def cancel(self) -> bool:
        """Give it up; False if it had ended before."""
        return self._future.cancel()

    def __await__(self) -> Generator[Any, Any, R]:
        return self._future.__await__()


def start(fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
    """Let a sync function of workflow code run as a branch of its own, beside the caller; a handle to it.

    Durable calls in it have keys of their own, below the branch's, as in a task of async code.
    """
    execution = required("start")
    needs_sync("start")
    name = getattr(fn, "__name__", type(fn).__name__)
    branch: Any = cross(fn, *args, **kwargs)
    branch.__name__ = name  # which keys begin with
    return Handle(execution.loop.create_task(branch), name)


def gather(*handles: Handle[R]) -> list[R]:
    """Wait for all of them; their results, in that order. The first error is raised at once, and the others go on."""
    required("gather")
    strangers = [each for each in handles if not isinstance(each, Handle)]
    if strangers:
        raise InvalidInput(f"gather takes handles, as some_step.start(...) returns them, not {strangers[0]!r:.100}")
    futures = [each._future for each in handles]
    results: list[R] = needs_sync("gather").wait(asyncio.gather(*futures))
    return results


class timeout:
    """``with timeout("2h"):`` a limit for everything that is waited for in the block. Raises ``TimeoutError``."""

    def __init__(self, duration: Duration | None) -> None:
        required("timeout")
        needs_sync("timeout")
        self._timeout = asyncio.timeout(None if duration is None else to_seconds(duration))

    def __enter__(self) -> timeout:
        needs_sync("timeout").wait(self._timeout.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return needs_sync("timeout").wait(self._timeout.__aexit__(kind, error, trace))


def needs_sync(what: str) -> Crossing:
    """The crossing that runs now. Raises ``RuntimeError`` in async code."""
    crossing = crossing_now()
    if crossing is None:
        raise RuntimeError(f"keepstep.sync.{what} is for sync workflows; async ones have asyncio.{_IN_ASYNCIO[what]}")
    return crossing


_IN_ASYNCIO = {"start": "create_task", "gather": "gather", "timeout": "timeout"}
