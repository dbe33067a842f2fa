"""Probe: finds out which run kills workers, without blaming those that merely were there.

A run whose owners died again and again while it made no progress is a *suspect*. Its code still runs beside all
others, but each slice of it (a turn, or a stretch of a step between two awaits) runs alone among suspects, and the
journal knows whose slice it is, in a way that outlives the process. If the process dies then, that run gets the strike
and nobody else. A suspect that only waits, for an answer from the network say, is not blamed for a death: it was not
running.

A step on a thread is one slice from beginning to end, but lets others go on after ``SLICE_SECONDS_MAX``.
"""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any

from keepstep.journal import JournalError

if TYPE_CHECKING:
    from .resident import Resident
    from .worker import Worker

logger = logging.getLogger("keepstep.worker")

SLICE_SECONDS_MAX = 30.0


class Probe:
    """The right to run a suspect's code; one holder at a time in each worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._lock = asyncio.Lock()

    async def begin(self, run_id: str) -> None:
        """Wait for the right, and note who has it."""
        await self._lock.acquire()
        try:
            await self._note(run_id)
        except BaseException:
            self._lock.release()
            raise

    async def end(self) -> None:
        """The slice is over and the process lives."""
        try:
            await self._note(None)
        finally:
            self._lock.release()

    async def _note(self, run_id: str | None) -> None:
        try:
            await self._worker.journal.probe(self._worker.lease_id, run_id)
        except JournalError as error:
            logger.warning("the probe of a suspect could not be noted: %s", error)

    async def on_thread(self, resident: Resident, call: Coroutine[Any, Any, Any]) -> Any:
        """Await a call that runs on a thread, as one slice."""
        try:
            await self.begin(resident.run_id)
        except BaseException:
            call.close()  # given up before its turn came: nobody else would close it
            raise
        running = asyncio.ensure_future(call)
        try:
            await asyncio.wait((running,), timeout=SLICE_SECONDS_MAX)
        finally:
            await self.end()
            if not running.done() and _is_cancelled():
                running.cancel()
        return await running


@types.coroutine
def in_slices(resident: Resident, code: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Drive a suspect's coroutine, noting each stretch between two awaits while it is a suspect."""
    probe = resident.worker.probe
    error: BaseException | None = None
    while True:
        is_noted = resident.is_probed
        if is_noted:
            try:
                yield from probe.begin(resident.run_id).__await__()
            except BaseException:
                code.close()  # likewise; where it had begun, its ``finally`` runs
                raise
        try:
            awaited = code.send(None) if error is None else code.throw(error)
        except BaseException as ended:
            if is_noted:
                yield from probe.end().__await__()
            if isinstance(ended, StopIteration):
                return ended.value
            raise
        error = None
        try:
            if is_noted:
                yield from probe.end().__await__()
            yield awaited
        except BaseException as thrown:
            error = thrown


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
