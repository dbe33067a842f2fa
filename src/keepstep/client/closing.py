"""Closings: who waits for which run to close.

The journal tells what this process closed together with the last event; what others close is found by a hint and,
behind it, a slow poll over the runs that somebody here waits for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

import msgspec

from keepstep.journal import (
    AccessDenied,
    Hint,
    HintKind,
    Journal,
    JournalError,
    NotFound,
    Promoted,
    Status,
    StoreUnavailable,
)
from keepstep.worker.last_event import last_event

logger = logging.getLogger("keepstep.client")

RECENT_BYTES_MAX = 16 * 1024 * 1024
"""Last events of runs that closed here a moment ago, kept for whoever asks for the result only now."""

POLL_SECONDS = 1.0
RECENT_BYTES_EACH = 500

POLL_PAUSE_SECONDS = 0.02
"""Hints that come closer together than this are answered by one look."""


class Closed(msgspec.Struct, frozen=True):
    """How a run ended."""

    run_id: str
    status: Status
    type: str
    data: bytes


class Closings:
    """See the module's docstring."""

    def __init__(self, journal: Journal, poll_seconds: float = POLL_SECONDS, *, listens_at_once: bool = True) -> None:
        """``listens_at_once``: not only once somebody waits, where hints come at a cost and nothing closes here."""
        self._journal = journal
        self.poll_seconds = poll_seconds
        self._waiting: dict[str, list[asyncio.Future[Closed]]] = {}
        self._news = asyncio.Event()
        self._named: set[str] | None = set()
        """The runs that are to be looked at; None for all that somebody waits for."""
        self._watching: asyncio.Task[None] | None = None
        self._recent: OrderedDict[str, Closed] = OrderedDict()
        self._recent_bytes = 0
        self.forgotten = 0
        """How many recent closings had to be forgotten; a handle that is older than one of them must look."""
        self._promoted: Promoted | None = None
        """Why no run will ever close here any more."""
        self._listens = listens_at_once
        if listens_at_once:
            journal.listen(self._hear)

    def close(self) -> None:
        """Stop watching; whoever still waits is told so."""
        if self._listens:
            self._journal.unlisten(self._hear)
        if self._watching is not None:
            self._watching.cancel()
        for run_id in list(self._waiting):
            self._refuse(
                run_id, StoreUnavailable(f"the engine was closed before run {run_id}, which goes on, had ended")
            )

    async def wait(self, run_id: str, *, is_fresh: bool = False) -> Closed:
        """Wait until the run is closed. Raises ``NotFound`` where it is not there, or not any more.

        ``is_fresh``: it was started under a lease of this process since the last closing was forgotten, so that its end
        is either among the recent ones or still to come.
        """
        recent = self._recent.get(run_id)
        if recent is not None and recent.status is not Status.FAILED:
            return recent
        if self._promoted is not None:
            raise Promoted(str(self._promoted))
        if not self._listens:
            self._listens = True
            self._journal.listen(self._hear)
        future: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_id, []).append(future)
        try:
            if recent is not None or not is_fresh:  # a failed run may have been reopened since
                await self._look_at(run_id)
            if self._watching is None or self._watching.done():
                self._watching = asyncio.create_task(self._watch())
            return await future
        finally:
            waiting = self._waiting.get(run_id)
            if waiting is not None and future in waiting:
                waiting.remove(future)
                if not waiting:
                    del self._waiting[run_id]

    def _hear(self, hint: Hint) -> None:
        if isinstance(hint.reason, Promoted):
            self._promoted = hint.reason
            for run_id in list(self._waiting):
                self._refuse(run_id, hint.reason)
        if hint.kind is not HintKind.CLOSED:
            return
        for closing in hint.closings:
            if closing.event is None:
                self._look_out(hint)
            else:
                closed = Closed(closing.run_id, closing.status, closing.event.type, closing.event.data)
                self._remember(closed)
                self._resolve(closed)
        if not hint.closings:
            self._look_out(hint)

    def _look_out(self, hint: Hint) -> None:
        if not hint.run_ids:
            self._named = None
        elif self._named is not None:
            self._named.update(each for each in hint.run_ids if each in self._waiting)
        if self._named is None or self._named:
            self._news.set()

    def _remember(self, closed: Closed) -> None:
        before = self._recent.pop(closed.run_id, None)
        if before is not None:
            self._recent_bytes -= RECENT_BYTES_EACH + len(before.data)
        self._recent[closed.run_id] = closed
        self._recent_bytes += RECENT_BYTES_EACH + len(closed.data)
        while self._recent_bytes > RECENT_BYTES_MAX:
            _, oldest = self._recent.popitem(last=False)
            self._recent_bytes -= RECENT_BYTES_EACH + len(oldest.data)
            self.forgotten += 1

    def _resolve(self, closed: Closed) -> None:
        for future in self._waiting.pop(closed.run_id, ()):
            if not future.done():
                future.set_result(closed)

    def _refuse(self, run_id: str, error: JournalError) -> None:
        for future in self._waiting.pop(run_id, ()):
            if not future.done():
                future.set_exception(error)

    async def _watch(self) -> None:
        """Look at what is waited for, after a hint or from time to time."""
        while self._waiting:
            try:
                async with asyncio.timeout(self.poll_seconds):
                    await self._news.wait()
            except TimeoutError:
                self._named = None
            self._news.clear()
            named, self._named = self._named, set()
            for run_id in [each for each in self._waiting if named is None or each in named]:
                try:
                    await self._look_at(run_id)
                except AccessDenied as error:
                    self._refuse(run_id, error)
                except JournalError as error:
                    logger.warning("looking at run %s failed: %s", run_id, error)
            await asyncio.sleep(POLL_PAUSE_SECONDS)

    async def _look_at(self, run_id: str) -> None:
        run = await self._journal.read_run(run_id)
        if run is None:
            self._refuse(run_id, NotFound(f"there is no run {run_id}; it never was, or its retention has ended"))
        elif run.status is not Status.RUNNING and run_id in self._waiting:
            event = await last_event(self._journal, run)
            self._resolve(Closed(run_id, run.status, event.type, event.data))
