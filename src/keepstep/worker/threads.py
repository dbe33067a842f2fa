"""Threads: where sync steps are executed.

A thread cannot be interrupted. One whose step has outlived its timeout, its lease or its worker's stop goes on with it,
and nobody waits for it: not the next attempt, not the steps of others (``Steps`` counts attempts, not threads), and not
the process when it ends, because the threads are daemons. That is what the standard library's pool would not do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_Call = tuple[Future[Any], Callable[[], Any]]


class Threads(Executor):
    """Starts a thread when a call comes and none is idle, up to ``threads_max``; above that, calls wait."""

    def __init__(self, threads_max: int, name: str) -> None:
        self._threads_max = threads_max
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._count = 0
        self._lock = threading.Lock()
        self._is_closed = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        future: Future[R] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the worker has ended; no step can be begun")
            self._calls.put((future, lambda: fn(*args, **kwargs)))
            if not self._idle.acquire(blocking=False) and self._count < self._threads_max:
                self._count += 1
                threading.Thread(target=self._serve, name=f"{self._name}-{self._count}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Begin nothing more. Threads end when their calls do; nobody waits for them, whatever ``wait`` says."""
        with self._lock:
            self._is_closed = True
            while cancel_futures and (call := self._waiting()) is not None:
                call[0].cancel()
            for _ in range(self._count):
                self._calls.put(None)

    def _waiting(self) -> _Call | None:
        try:
            return self._calls.get_nowait()
        except Empty:
            return None

    def _next(self) -> _Call | None:
        try:
            return self._calls.get_nowait()
        except Empty:
            self._idle.release()
            return self._calls.get()

    def _serve(self) -> None:
        while (call := self._next()) is not None:
            future, run = call
            if future.set_running_or_notify_cancel():
                _settle(future, run)
            del call, future, run  # what a step returned is not kept until the next one comes


def _settle(future: Future[Any], run: Callable[[], Any]) -> None:
    try:
        result = run()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
