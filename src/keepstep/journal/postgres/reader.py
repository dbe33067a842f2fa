"""Reader: asks questions beside the writer, on a few threads with connections of their own.

A question whose connection breaks, or whose server is away, is asked again until it is answered or the store closes:
reading changes nothing, and whoever waits for a server that restarts wants to go on when it is back.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg

from keepstep.journal.errors import StoreUnavailable

from .connection import passing_trouble
from .wire import Wire

THREADS = 2

RETRY_SECONDS_FIRST = 0.05
RETRY_SECONDS_MAX = 1.0

log = logging.getLogger("keepstep.journal")

T = TypeVar("T")


class ReaderPool:
    """See the module."""

    def __init__(self, connect: Callable[[], Wire], shown: str) -> None:
        self._connect = connect
        self._shown = shown
        self._local = threading.local()
        self._wires: list[Wire] = []
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="keepstep-reader")

    async def read(self, question: Callable[[Wire], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, question)

    def _ask(self, question: Callable[[Wire], T]) -> T:
        pause, reported = RETRY_SECONDS_FIRST, False
        while True:
            try:
                answer = question(self._wire())
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
                self._closing.wait(random.uniform(pause / 2, pause))
                pause = min(pause * 2, RETRY_SECONDS_MAX)
            else:
                return answer

    def _wire(self) -> Wire:
        """This thread's connection."""
        wire: Wire | None = getattr(self._local, "wire", None)
        if wire is None or wire.is_lost:
            self._local.wire = None
            self._local.wire = wire = self._connect()
            self._wires.append(wire)
        return wire

    def _leave(self) -> None:
        """Whatever the question has begun is over."""
        wire: Wire | None = getattr(self._local, "wire", None)
        if wire is None:
            return
        try:
            wire.roll_back()
        except psycopg.Error:
            wire.close()
        if wire.is_lost:
            self._wires.remove(wire)
            self._local.wire = None

    async def close(self) -> None:
        self._closing.set()
        await asyncio.to_thread(self._pool.shutdown)
        for wire in self._wires:
            wire.close()
