"""Unreadable: runs that are sealed by a key, or kept in a blob, that this worker does not have.

Nothing is wrong with such a run: it is parked as blocked, with a detail that says what is missing, and is offered to
every other worker, which may have it. This one looks at it again from time to time, and lets it go on by itself when
the key or the blob has come.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from keepstep.journal import Commit, Condition, JournalError, Message, NotFound, Run, Status, Unreadable, cell_of
from keepstep.queues.starting import LANGUAGE
from keepstep.runtime.blocked import Diff

from .words import Detail, encode_detail

if TYPE_CHECKING:
    from .worker import Worker

logger = logging.getLogger("keepstep.worker")

REMEMBERED_MAX = 10_000
LOOKED_AT_ONCE_MAX = 20
LOOK_SECONDS_FIRST, LOOK_SECONDS_MAX = 1.0, 30.0


class UnreadableRuns:
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._parked: OrderedDict[str, None] = OrderedDict()
        self._is_looking = False

    async def park(self, run: Run, error: Unreadable) -> None:
        """Give a run back that was claimed and cannot be read. The detail of a guest's run is its own, and stays."""
        logger.warning("run %s (%s) is blocked: %s", run.run_id, run.workflow_id, error)
        shown = encode_detail(Detail(blocked=msgspec.to_builtins(Diff(str(error))), is_sealed=True))
        detail = shown if run.language == LANGUAGE else None
        parked = Commit(
            run_id=run.run_id,
            epoch=run.epoch,
            condition=Condition.BLOCKED,
            detail=detail,
            release=True,
            blocked_for=self._worker.lease_id,
        )
        try:
            await self._worker.journal.commit(parked)
        except JournalError as refused:
            logger.info("run %s could not be parked: %s", run.run_id, refused)
            self._worker.doubt_claims()
            return
        self.remember(run.run_id)

    def refuse(self, message: Message) -> None:
        """Raise ``Unreadable`` for a message to a run of this worker that is still sealed, and remember the run."""
        cell = cell_of(message.data)
        if cell is not None:
            self.remember(message.run_id)
            raise Unreadable(f"it is {cell}, which cannot be read here")

    def remember(self, run_id: str) -> None:
        """Look again at a run that was parked because something of it cannot be read."""
        self._parked[run_id] = None
        if len(self._parked) > REMEMBERED_MAX:
            self._parked.popitem(last=False)
        if not self._is_looking:
            self._is_looking = True
            self._worker.spawn(self._look())

    async def _look(self) -> None:
        pause = LOOK_SECONDS_FIRST
        try:
            while self._parked and self._worker.is_open:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LOOK_SECONDS_MAX)
                if await self._look_at_some():
                    pause = LOOK_SECONDS_FIRST
        finally:
            self._is_looking = False

    async def _look_at_some(self) -> bool:
        """Whether one of them has become readable: then the others may have, too."""
        has_changed = False
        for run_id in list(self._parked)[:LOOKED_AT_ONCE_MAX]:
            self._parked.move_to_end(run_id)
            try:
                await self._let_go_on(run_id)
            except Unreadable:
                continue
            except NotFound:
                pass
            except JournalError as error:
                logger.info("run %s is looked at again later: %s", run_id, error)
                continue
            self._parked.pop(run_id, None)
            has_changed = True
        return has_changed

    async def _let_go_on(self, run_id: str) -> None:
        """Offer it again if it can be read now, and nobody has done so. Raises what keeps it from being read."""
        journal = self._worker.journal
        run = (await journal.load(run_id)).run
        if run.status is not Status.RUNNING or run.condition is not Condition.BLOCKED or run.owner is not None:
            return
        detail = b"" if run.language == LANGUAGE else None
        await journal.commit(
            Commit(run_id=run_id, version=run.version, condition=Condition.NONE, detail=detail, wake_at=0)
        )
