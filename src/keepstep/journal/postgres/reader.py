"""Reader: asks questions beside the writer, on a few threads with connections of their own.

A question whose connection breaks, or whose server is away, is asked again until it is answered or the store closes:
reading changes nothing, and whoever waits for a server that restarts wants to go on when it is back.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg

from keepstep.journal.errors import StoreUnavailable

from .connection import passing_trouble
from .pace import REAL, Pace, Waiting
from .wire import Wire

THREADS = 2

RETRY_SECONDS_FIRST = 0.05
RETRY_SECONDS_MAX = 1.0

log = logging.getLogger("keepstep.journal")

T = TypeVar("T")


class Asker:
    """One connection for questions, which is made anew where it breaks. Used by one thread at a time."""

    def __init__(self, connect: Callable[[], Wire], shown: str, closing: Waiting, pace: Pace = REAL) -> None:
        """``closing`` is set when nobody wants answers any more."""
        self._connect = connect
        self._shown = shown
        self._closing = closing
        self._pace = pace
        self._wire: Wire | None = None

    def ask(self, question: Callable[[Wire], T]) -> T:
        pause, reported = RETRY_SECONDS_FIRST, False
        while True:
            try:
                answer = question(self._connected())
            except psycopg.Error as error:
                trouble = passing_trouble(error)
                self._leave()
                if trouble is None:
                    raise StoreUnavailable(f"{self._shown} cannot be read: {error}") from error
                if self._closing.is_set():
                    raise StoreUnavailable(f"{self._shown} cannot be read: {trouble} ({error})") from error
                if not reported:
                    log.warning("%s (%s): a question is asked again until it is answered", trouble, error)
                    reported = True
                self._closing.wait(self._pace.between(pause / 2, pause))
                pause = min(pause * 2, RETRY_SECONDS_MAX)
            else:
                return answer

    def _connected(self) -> Wire:
        if self._wire is None or self._wire.is_lost:
            self._wire = None
            self._wire = self._connect()
        return self._wire

    def _leave(self) -> None:
        """Whatever the question has begun is over."""
        if self._wire is None:
            return
        try:
            self._wire.roll_back()
        except psycopg.Error:
            self._wire.close()
        if self._wire.is_lost:
            self._wire = None

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()


class ReaderPool:
    """See the module. Each thread has an ``Asker`` of its own."""

    def __init__(self, connect: Callable[[], Wire], shown: str) -> None:
        self._connect = connect
        self._shown = shown
        self._local = threading.local()
        self._askers: list[Asker] = []
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="keepstep-reader")

    async def read(self, question: Callable[[Wire], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, question)

    def _ask(self, question: Callable[[Wire], T]) -> T:
        return self._asker().ask(question)

    def _asker(self) -> Asker:
        """This thread's."""
        asker: Asker | None = getattr(self._local, "asker", None)
        if asker is None:
            self._local.asker = asker = Asker(self._connect, self._shown, self._closing)
            self._askers.append(asker)
        return asker

    async def close(self) -> None:
        self._closing.set()
        await asyncio.to_thread(self._pool.shutdown)
        for asker in self._askers:
            asker.close()
