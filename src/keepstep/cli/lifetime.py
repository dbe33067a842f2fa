"""Lifetime: how long a command lives that goes on until it is told to stop, and what ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading

from keepstep.journal import Hint, StoreUnavailable

GRACE_SECONDS = 10.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Lifetime:
    """Over with the first of ``STOP_SIGNALS``; the second ends the process as if nobody listened for it.

    ``heart``: a descriptor with whose end it is over, too, such as a pipe from who has begun this process.
    """

    def __init__(self, heart: int | None = None) -> None:
        self._end = asyncio.Event()
        self._lost: StoreUnavailable | None = None
        self._loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            try:
                self._loop.add_signal_handler(number, self._stop)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: self._loop.call_soon_threadsafe(self._end.set))

        if heart is not None:
            threading.Thread(target=self._feel, args=(heart,), name="keepstep-heart", daemon=True).start()

    def _feel(self, heart: int) -> None:
        while os.read(heart, 4096):
            """Nothing that is said there matters."""
        with contextlib.suppress(RuntimeError):  # the loop was closed: it is over already
            self._loop.call_soon_threadsafe(self._end.set)

    def hear(self, hint: Hint) -> None:
        """Listens to a journal: when this process cannot write to it any more, its life is over, too."""
        if hint.reason is not None:
            self._lost = hint.reason
            self._end.set()

    async def wait(self) -> None:
        """Until it is over. Raises ``StoreUnavailable`` where the journal was lost."""
        await self._end.wait()
        if self._lost is not None:
            raise self._lost

    def _stop(self) -> None:
        self._end.set()
        for each in STOP_SIGNALS:
            self._loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
