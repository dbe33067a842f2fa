"""EngineThread: the event loop of a ``BlockingEngine``, in a thread of its own, and how other threads call into it.

Invariants

* Nothing waits for itself: a call on the engine's own loop, or by workflow code, is refused.
* A process that was forked off has the engine's memory, but not its thread. Whatever it asks for is refused, and
  closing the engine there does nothing.
* A caller that has been let in is answered, however the engine ends: nobody is let in once it is ending.
* A caller that is interrupted (Ctrl-C) leaves at once, and what it had asked for is cancelled.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from keepstep.journal import InvalidInput, StoreUnavailable
from keepstep.runtime.call import current

P = ParamSpec("P")
R = TypeVar("R")

ITEMS_AT_ONCE_MAX = 200
"""An iterator fetches so many, and no more before they have been asked for."""

ENDING_SECONDS_MAX = 5.0
"""So long may what is left on the loop take to be cancelled."""

CLOSED = "this engine is closed; open it again: with BlockingEngine(...) as engine"

LOOKS_EACH_SECONDS = 0.5 if sys.platform == "win32" else None
"""Where a signal does not interrupt a wait, it is ended so often to let Python see it."""


class EngineThread:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._letting_in = threading.RLock()  # an iterator may be thrown away in the middle of it
        self._is_ending = False
        self._called: set[Future[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._pool = ThreadPoolExecutor(thread_name_prefix="keepstep-engine")
        self._pool.submit(int)  # a process that is ending starts no thread any more, and closing wants one
        self._loop.set_default_executor(self._pool)
        self._thread = threading.Thread(target=self._run, name="keepstep-engine", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            if left := asyncio.all_tasks(self._loop):
                for task in left:
                    task.cancel()
                self._loop.run_until_complete(asyncio.wait(left, timeout=ENDING_SECONDS_MAX))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            for called in list(self._called):  # also those that cannot be cancelled in time, or came at the last moment
                called.cancel()
            self._pool.shutdown()
            self._loop.close()

    @property
    def is_here(self) -> bool:
        """False in a process that was forked off."""
        return os.getpid() == self._process

    def call(self, method: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call an async method on the loop and wait for what it returns or raises."""
        self._check_may_wait()

        async def call() -> R:
            return await method(*args, **kwargs)

        called = self._begin(call)
        try:
            return _outcome_of(called)
        except CancelledError:
            raise StoreUnavailable(
                "the engine was closed while it was being waited for; what was asked may have been done: "
                "open an engine, and ask again"
            ) from None
        except BaseException:
            called.cancel()
            raise

    def _begin(self, call: Callable[[], Coroutine[Any, Any, R]]) -> Future[R]:
        with self._letting_in:
            if self._is_ending:
                raise StoreUnavailable(CLOSED)
            called = asyncio.run_coroutine_threadsafe(call(), self._loop)
            self._called.add(called)
        called.add_done_callback(self._called.discard)
        return called

    def iterate(self, method: Callable[P, AsyncIterator[R]], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        """What an async iterator yields, fetched a few at a time, when they are asked for."""
        return self._iterate(ITEMS_AT_ONCE_MAX, lambda: method(*args, **kwargs))

    def iterate_one_by_one(
        self, method: Callable[P, AsyncIterator[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[R]:
        """Likewise, each as soon as it is there, for an iterator that waits for what does not exist yet."""
        return self._iterate(1, lambda: method(*args, **kwargs))

    def _iterate(self, at_once: int, begin: Callable[[], AsyncIterator[R]]) -> Iterator[R]:
        iterator: list[AsyncIterator[R]] = []

        async def fetch() -> list[R]:
            if not iterator:
                iterator.append(begin())
            items: list[R] = []
            async for item in iterator[0]:
                items.append(item)
                if len(items) >= at_once:
                    break
            return items

        async def close() -> None:
            for each in iterator:
                await each.aclose()  # type: ignore[attr-defined]

        try:
            while items := self.call(fetch):
                yield from items
                if len(items) < at_once:
                    break
        finally:
            with suppress(StoreUnavailable):  # it was closed meanwhile, and its iterators with it
                try:
                    self.call(close)
                except InvalidInput:  # it is garbage, and was collected where nobody may wait
                    self._begin(close)

    def _check_may_wait(self) -> None:
        if not self.is_here:
            raise StoreUnavailable(
                f"this engine was opened by process {self._process} and is not in process {os.getpid()}, which was "
                "forked off it; open an engine after the fork (in gunicorn: in post_fork, or without preload_app)"
            )
        if current() is not None:
            raise InvalidInput("workflow code must not wait for an engine; do that in a step, or start a child")
        if threading.get_ident() == self._thread.ident:
            raise InvalidInput(
                "a BlockingEngine was called on its own event loop, which would wait for itself for ever; "
                "call it from a sync step (def, not async def)"
            )
        if self._is_ending:
            raise StoreUnavailable(CLOSED)

    def end(self) -> None:
        """Stop the loop, and wait for its thread."""
        if not self.is_here:
            return
        with self._letting_in:
            is_first, self._is_ending = not self._is_ending, True
        if is_first:
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2 * ENDING_SECONDS_MAX)


def _outcome_of(called: Future[R]) -> R:
    while True:
        try:
            return called.result(LOOKS_EACH_SECONDS)
        except TimeoutError:
            if called.done():
                return called.result()
