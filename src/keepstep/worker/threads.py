"""Threads: where sync steps are executed.

A thread cannot be interrupted. One whose step has outlived its timeout, its lease or its worker's stop goes on with it,
and nobody waits for it: not the next attempt, not the steps of others (``Steps`` counts attempts, not threads), and not
the process when it ends, because the threads are daemons. That is what the standard library's pool would not do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_Call = tuple[Future[Any], Callable[[], Any]]


class Threads(Executor):
    """Starts a thread when there are more calls than threads, up to ``threads_max``; above that, calls wait."""

    def __init__(self, threads_max: int, name: str) -> None:
        self._threads_max = threads_max
        self._name = name
        self._waiting: SimpleQueue[_Call | None] = SimpleQueue()
        self._calls = 0
        """Those that wait and those that are being executed."""
        self._threads = 0
        self._lock = threading.Lock()
        self._is_closed = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        future: Future[R] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the worker has ended; no step can be begun")
            self._calls += 1
            self._waiting.put((future, partial(fn, *args, **kwargs)))
            if self._calls > self._threads and self._threads < self._threads_max:
                self._threads += 1
                threading.Thread(target=self._serve, name=f"{self._name}-{self._threads}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Begin nothing more. Threads end when their calls do; nobody waits for them, whatever ``wait`` says."""
        with self._lock:
            self._is_closed = True
            while cancel_futures and (call := self._next_waiting()) is not None:
                call[0].cancel()
            for _ in range(self._threads):
                self._waiting.put(None)

    def _next_waiting(self) -> _Call | None:
        try:
            return self._waiting.get_nowait()
        except Empty:
            return None

    def _serve(self) -> None:
        while (call := self._waiting.get()) is not None:
            self._settle(*call)
            del call  # what a step returned is not kept until the next one comes

    def _settle(self, future: Future[Any], run: Callable[[], Any]) -> None:
        """The call is over before its future says so: whoever hears that may submit the next one."""
        result, failure = None, None
        try:
            if future.set_running_or_notify_cancel():
                result = run()
        except BaseException as error:
            failure = error
        with self._lock:
            self._calls -= 1
        if failure is not None:
            future.set_exception(failure)
        elif not future.cancelled():
            future.set_result(result)
