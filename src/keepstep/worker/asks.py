"""Asks: queries and updates are answered by the worker that owns the run, or by any worker while nobody does.

A run in memory is asked as it is, after what was said to it before has been taken in. A run that is asleep, paused or
closed is loaded, replayed, asked and dropped: nothing is written. An update to a run that is asleep is judged in that
way too; if its validator has nothing against it, it is sent to the run as a message, which wakes it.

What cannot be answered here and now is answered with *again*; whoever asks has the patience, and the time limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import msgspec

from keepstep.journal import (
    PROBE_STRIKES,
    Ask,
    Commit,
    Condition,
    Conflict,
    Fenced,
    InvalidInput,
    JournalError,
    Loaded,
    NewMessage,
    NotFound,
    Run,
    RunClosed,
    Status,
    Unreadable,
)
from keepstep.runtime.blocked import Contradiction
from keepstep.runtime.data import describe, encode_failure
from keepstep.runtime.errors import Disturbed, QueryFailed
from keepstep.runtime.execution import Execution
from keepstep.runtime.history import FORMAT

from .bell import Bell
from .identity import identity_of
from .pause import is_paused
from .replay import replay
from .reply import QUERY, UPDATE, Reply, ReplyKind, again, decode_request, earlier, encode_reply, reply_of
from .said import SaidOutcome
from .updating import judge
from .watchdog import TurnTooLong
from .words import decode_detail

if TYPE_CHECKING:
    from .resident import Resident
    from .worker import Worker

logger = logging.getLogger("keepstep.worker")

ANSWERED_AT_ONCE_MAX = 5000
REPLAYED_AT_ONCE_MAX = 8
"""Histories of runs that are not in memory, held at a time."""

POLL_SECONDS = 5.0
"""How often it is looked for asks whose hint was lost."""

TROUBLE_SECONDS = 1.0


class Asks:
    """See the module's docstring."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._news = Bell()
        self._answering = 0
        self._replays = asyncio.Semaphore(REPLAYED_AT_ONCE_MAX)

    def wake(self) -> None:
        """Somebody may have asked something."""
        self._news.ring()

    async def serve(self) -> None:
        """Take what is asked and answer it, for ever."""
        while True:
            await self._news.wait(max(POLL_SECONDS, self._worker.options.poll_seconds))
            self._news.clear()
            try:
                await self._take()
            except Fenced:
                await asyncio.sleep(TROUBLE_SECONDS)  # the lease is lost, and the worker begins anew
            except JournalError as error:
                logger.warning("asks could not be taken (%s); whoever asked asks again", error)
                await asyncio.sleep(TROUBLE_SECONDS)

    async def _take(self) -> None:
        while (room := ANSWERED_AT_ONCE_MAX - self._answering) > 0:
            asks = await self._worker.journal.take_asks(self._worker.lease_id, room)
            if not asks:
                return
            self._answering += len(asks)
            for ask in asks:
                self._worker.spawn(self._answer(ask))

    async def _answer(self, ask: Ask) -> None:
        journal = self._worker.journal
        try:
            async with asyncio.timeout(max(ask.deadline - journal.clock.now(), 0) / 1e6):
                reply = await self.reply(ask.run_id, ask.kind, ask.name, ask.data)
            await journal.answer(ask.ask_id, encode_reply(reply))
        except TimeoutError:  # nobody waits any more
            pass
        except JournalError as error:
            logger.warning("an ask to run %s could not be answered (%s); whoever asked asks again", ask.run_id, error)
        finally:
            self._answering -= 1
            if self._answering == ANSWERED_AT_ONCE_MAX - 1:
                self._news.ring()

    def is_here(self, run_id: str) -> bool:
        """True for a run in memory here: a client in this process asks it without a detour."""
        return self._worker.is_open and run_id in self._worker.residents

    async def reply(self, run_id: str, kind: str, name: str, data: bytes) -> Reply:
        """What is to be said to one ask."""
        if kind not in (QUERY, UPDATE):
            return Reply(ReplyKind.INVALID, text=f"this version of Keepstep does not know asks of kind {kind!r}")
        resident = self._worker.residents.get(run_id)
        if resident is not None:
            return await self._reply_of_resident(resident, kind, name, data)
        async with self._replays:
            return await self._reply_of_stored(run_id, kind, name, data)

    # in memory

    async def _reply_of_resident(self, resident: Resident, kind: str, name: str, data: bytes) -> Reply:
        if not await self._has_heard(resident):
            return again("it is just coming into memory, or leaving it")
        if resident.parking.blocked is not None:
            return Reply(ReplyKind.BLOCKED, text=str(resident.parking.blocked))
        if kind == UPDATE:
            reply = await resident.updating.perform(name, decode_request(data))
            return self._told_of(reply, resident.execution, name, data)
        reply = self._guarded(resident.execution, name, data)
        if resident.execution.loop.is_disturbed():
            self._worker.reload(resident)
        return reply

    async def _has_heard(self, resident: Resident) -> bool:
        """Take in what was said to a run before it was asked, and wait until that is delivered; False if it is gone."""
        if not resident.can_be_asked:
            return False
        messages = await self._worker.journal.read_messages(resident.run_id)
        if not resident.can_be_asked:
            return False
        resident.take_messages(messages)
        if resident.in_flight and resident.last_submitted is not None:
            await asyncio.wait((resident.last_submitted,))
        return resident.can_be_asked or resident.parking.blocked is not None

    # not in memory

    async def _reply_of_stored(self, run_id: str, kind: str, name: str, data: bytes) -> Reply:
        try:
            loaded = await self._worker.journal.load(run_id)
        except NotFound as error:
            return Reply(ReplyKind.INVALID, text=str(error))
        except Unreadable as error:
            return Reply(ReplyKind.BLOCKED, text=str(error))
        obstacle = self._obstacle_of(loaded, kind)
        if obstacle is not None:
            return obstacle
        workflow = self._worker.served.find(loaded.run.type, loaded.run.queue)
        if workflow is None:
            return again(f"the worker that was asked has no workflow {loaded.run.type!r}")
        identity = identity_of(loaded.run, self._worker.options.callback_base)
        execution = Execution(workflow, identity, self._worker.interceptors)
        try:
            misfit = replay(execution, loaded, self._worker.watchdog)
            if misfit is not None:
                if kind == UPDATE:
                    await self._have_it_parked(loaded.run)
                return Reply(ReplyKind.BLOCKED, text=_why_misfit(misfit))
            if kind == QUERY:
                return self._guarded(execution, name, data)
            return self._told_of(await self._send_update(execution, name, data), execution, name, data)
        finally:
            execution.detach()

    async def _have_it_parked(self, run: Run) -> None:
        """A sleeping run has turned out not to fit its code: wake it, so that it is shown as blocked and looked after.

        Nobody would come to know of it otherwise before its next message or timer, and an update is never sent to it.
        """
        with contextlib.suppress(Conflict, NotFound, RunClosed):  # somebody else has moved it
            await self._worker.journal.commit(Commit(run_id=run.run_id, version=run.version, wake_at=0))

    def _obstacle_of(self, loaded: Loaded, kind: str) -> Reply | None:
        """Why a run that is not in memory here cannot be asked, if that is so."""
        run = loaded.run
        if run.owner is not None:
            return again("another worker has just taken it up")
        if run.format > FORMAT:
            return again("its history is of a newer version of Keepstep than the worker's that was asked")
        if run.status is not Status.RUNNING:
            return Reply(ReplyKind.CLOSED, text=f"it is {run.status}") if kind == UPDATE else None
        if run.condition is Condition.BLOCKED:
            return Reply(ReplyKind.BLOCKED, text=_why_blocked(run))
        if run.condition is Condition.QUARANTINED or run.strikes >= PROBE_STRIKES:
            return Reply(ReplyKind.BLOCKED, text="workers that ran its code have died; it is not run to be asked")
        if is_paused(run.condition, loaded.messages):
            return None if kind == QUERY else again("it is paused")
        if loaded.messages:
            return again("it is about to be taken up by a worker")
        return None

    async def _send_update(self, execution: Execution, name: str, data: bytes) -> Reply:
        request, handling = decode_request(data), execution.handling
        outcome = handling.updates.get(request.id)
        if outcome is not None:
            return reply_of(outcome)
        if before := execution.heard.before(UPDATE, request.id):
            return earlier(before)
        if request.id in handling.updates:
            return again("the update was accepted, and its handler waits for something")
        if execution.has_returned:
            return Reply(ReplyKind.CLOSED, text="the run's function has ended; it takes no updates any more")
        refusal = judge(handling.validate, name, request.payload)
        if refusal is not None:
            return refusal
        run_id = execution.identity.run_id
        try:
            await self._worker.journal.send(NewMessage(run_id=run_id, kind=UPDATE, name=name, data=data))
        except RunClosed as error:
            return Reply(ReplyKind.CLOSED, text=str(error))
        return again("it is being woken")

    # either

    def _guarded(self, execution: Execution, name: str, payload: bytes) -> Reply:
        """Ask a query. Code that does not come back is interrupted, as in any other turn."""
        since = self._worker.journal.clock.now()
        reply = self._answer_to(execution, name, payload)
        watching = self._worker.watching
        if watching is not None and execution.handling.handlers.find("query", name) is not None:
            outcome = SaidOutcome.ANSWERED if reply.kind is ReplyKind.VALUE else SaidOutcome.FAILED
            watching.answered(execution.identity, name, outcome, since)
        return reply

    def _answer_to(self, execution: Execution, name: str, payload: bytes) -> Reply:
        watchdog = self._worker.watchdog
        watchdog.enter()
        try:
            try:
                answer = execution.handling.query(name, payload)
            finally:
                if watchdog.leave():
                    raise TurnTooLong
        except QueryFailed as error:
            return Reply(ReplyKind.FAILED, encode_failure(describe(error.__cause__ or error)))
        except (InvalidInput, Disturbed, TurnTooLong) as error:
            return Reply(ReplyKind.INVALID, text=str(error))
        return Reply(ReplyKind.VALUE, answer)

    def _told_of(self, reply: Reply, execution: Execution, name: str, data: bytes) -> Reply:
        """The reply to an update, of which observers hear where nothing else will tell them."""
        if reply.kind is ReplyKind.REJECTED and self._worker.watching is not None:
            self._worker.watching.rejected(execution.identity, name, decode_request(data).id)
        return reply


def _why_misfit(error: BaseException) -> str:
    return str(error.diff) if isinstance(error, Contradiction) else f"its code could not be replayed: {error!r}"


def _why_blocked(run: Run) -> str:
    try:
        blocked = decode_detail(run.detail).blocked
    except msgspec.MsgspecError:
        blocked = None
    return str((blocked or {}).get("summary", "its code does not fit its history"))
