"""Runner: decides for the schedules that a worker has claimed.

Lease, wake time and what becomes of a schedule when its owner dies are those of any run. Whoever claims it makes one
commit: it starts what is due, moves the position, sets the next wake and gives the schedule back. If that commit is
refused nothing has happened, and if its outcome is unknown the journal knows it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from keepstep.journal import (
    Commit,
    Committed,
    Condition,
    Conflict,
    Fenced,
    JournalError,
    Message,
    NewMessage,
    NewRun,
    NotFound,
    ParentLink,
    Run,
    RunClosed,
    Unreadable,
)
from keepstep.queues.starting import started_run
from keepstep.queues.waiting import WaitingOptions
from keepstep.runtime.parent_word import ParentWord, word_to_child
from keepstep.runtime.registry import find_workflow

from .diary import write_page
from .guest import Host, namespace_of
from .plan import Action, decode_opening
from .standing import Standing, encode_standing, first_standing, has_arguments, standing_of
from .turn import STARTS_MAX, Decision, Start, decide, is_due

logger = logging.getLogger("keepstep.schedules")

TRIES_MAX = 20
IN_HAND_MAX = 600
"""While more schedules than this are being decided for, no more are claimed."""

STARTED_BYTES_MAX = 4 * 1024 * 1024
"""One commit carries so many bytes of arguments; the rest of the runs are the next turn's."""

AFTER_TROUBLE_SECONDS = 60
"""A schedule that cannot be decided for here is offered again after so long."""

DEFAULT_QUEUE = "default"


class Runner:
    """See the module."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._journal = host.journal
        self._in_hand: set[tuple[str, int]] = set()
        """Run ids and epochs: one that was taken away and claimed again is another owning, while the last one fails."""
        self._has_ended = asyncio.Event()

    async def take_up(self, runs: Sequence[Run]) -> None:
        """Decide for schedules that the worker owns; returns when there is room for more of them.

        So that the next ones are claimed in the very flush that brings what was decided for these.
        """
        mine = [run for run in runs if (run.run_id, run.epoch) not in self._in_hand]
        self._in_hand.update((run.run_id, run.epoch) for run in mine)
        self._host.spawn(self._take_all(mine))
        while len(self._in_hand) > IN_HAND_MAX:
            self._has_ended.clear()
            await self._has_ended.wait()

    async def _take_all(self, mine: Sequence[Run]) -> None:
        try:
            said = await self._listen(mine)
            await asyncio.gather(*(self._take(run, said.get(run.run_id, [])) for run in mine))
        except JournalError as error:
            logger.warning("what was said to %d schedules could not be read (%s); it is read again", len(mine), error)
            self._host.doubt_claims()
        finally:
            self._in_hand.difference_update((run.run_id, run.epoch) for run in mine)
            self._has_ended.set()
            self._host.look_again()

    async def _listen(self, runs: Sequence[Run]) -> dict[str, list[Message]]:
        """What was said to those that were not claimed because something is due, in one question.

        To the others seldom anything was; where it was, their commit is refused, and then it is read.
        """
        said: dict[str, list[Message]] = {}
        if spoken_to := [run.run_id for run in runs if not self._is_due(run)]:
            for message in await self._journal.read_messages_of(spoken_to):
                said.setdefault(message.run_id, []).append(message)
        return said

    def _is_due(self, run: Run) -> bool:
        try:
            standing = standing_of(run)
            return standing is not None and is_due(run.workflow_id, standing, self._now())
        except Exception:  # whatever is wrong with one schedule is said where it is decided for
            return False

    async def _take(self, run: Run, messages: Sequence[Message]) -> None:
        try:
            await self._decide(run, messages)
        except (Fenced, NotFound, RunClosed):
            pass  # it is somebody else's by now, or was changed or deleted meanwhile
        except Unreadable as error:
            await self._host.park_unreadable(run, error)
        except JournalError as error:
            logger.warning("schedule %r could not be written (%s); it is looked at again", run.workflow_id, error)
            self._host.doubt_claims()
        except Exception:
            logger.exception("schedule %r cannot be decided for; it is tried again later", run.workflow_id)
            await self._put_off(run)

    async def _decide(self, run: Run, messages: Sequence[Message]) -> None:
        standing = standing_of(run)
        for _ in range(TRIES_MAX):
            if standing is None:
                [created] = await self._journal.read_events(run.run_id, 0, 1)
                standing = first_standing(created, run.started_at)
            try:
                await self._commit(run, standing, messages)
                return
            except Conflict:
                messages = await self._journal.read_messages(run.run_id)
        raise Conflict(f"schedule {run.workflow_id!r} is spoken to too quickly; it is looked at again")

    async def _commit(self, run: Run, standing: Standing, messages: Sequence[Message]) -> None:
        action = standing.plan.action
        if not has_arguments(action):
            [brought] = await self._journal.read_events(run.run_id, standing.plan_seq - 1, 1)
            action = decode_opening(brought.data).plan.action
        starts_max = max(1, min(STARTS_MAX, STARTED_BYTES_MAX // len(action.arguments)))
        there = await self._find_asked(run, standing)
        decision = decide(run.workflow_id, standing, messages, self._now(), self._host.ids, starts_max, there)
        new = [self._new_run(run, action, each) for each in decision.starts]
        try:
            done = await self._journal.commit(
                Commit(
                    run_id=run.run_id,
                    epoch=run.epoch,
                    inbox_seen=max((each.n for each in messages), default=0),
                    consume=tuple(each.n for each in messages),
                    send=tuple(self._words(run, decision)),
                    start=tuple(new),
                    state=() if decision.page is None else (write_page(decision.page),),
                    detail=encode_standing(decision.standing),
                    condition=Condition.WAITING,
                    release=True,
                    wake_at=decision.wake_at,
                )
            )
        except (asyncio.CancelledError, JournalError) as error:
            if not isinstance(error, (Conflict, Fenced, RunClosed, NotFound)):
                self._recover(new)
            raise
        self._adopt(new, done)

    async def _find_asked(self, run: Run, standing: Standing) -> set[str]:
        """Ids of triggers whose runs are there already: who got no answer asks again, perhaps long after."""
        namespace = namespace_of(run.namespace)
        asked = [each.id for each in standing.asked[:STARTS_MAX]]
        return {each for each in asked if await self._journal.find_run(namespace, each) is not None}

    def _new_run(self, run: Run, action: Action, start: Start) -> NewRun:
        """A run by the newest code that this process has, or by what was published when the schedule was made."""
        known = find_workflow(action.type)
        queue, version, timeout = action.offered_on or DEFAULT_QUEUE, action.version, action.published_timeout
        if known is not None:
            queue, version = known.offered_on(action.queue or known.queue), known.version
            timeout = known.timeout_seconds
        new = started_run(
            action.type,
            action.arguments,
            run_id=start.run_id,
            workflow_id=start.id,
            namespace=namespace_of(run.namespace),
            queue=queue,
            timeout_seconds=timeout,
            own_timeout_seconds=action.timeout,
            version=version,
            now=self._now(),
            seed=self._host.random.randbytes(16),
            parent=ParentLink(run.run_id, start.id) if start.is_minded else None,
            attributes=action.attributes,
            headers=action.headers,
            waiting=WaitingOptions(priority=action.priority, fairness_key=action.fairness_key),
        )
        return msgspec.structs.replace(new, lease_id=self._host.lease_id) if self._host.can_adopt(new) else new

    def _words(self, run: Run, decision: Decision) -> list[NewMessage]:
        namespace = namespace_of(run.namespace)
        return [
            word_to_child(
                namespace, each.id, ParentWord(run.run_id, each.overlap, f"schedule {run.workflow_id!r} fired again")
            )
            for each in decision.words
        ]

    def _adopt(self, new: Sequence[NewRun], done: Committed) -> None:
        started = {each.run_id: each for each in done.started}
        for each in new:
            if each.run_id in started and started[each.run_id].leased:
                self._host.adopt(each, started[each.run_id])

    def _recover(self, new: Sequence[NewRun]) -> None:
        for each in new:
            if each.lease_id is not None:
                self._host.recover(each.run_id)

    async def _put_off(self, run: Run) -> None:
        """Whatever is wrong with one schedule, it must neither stay owned nor be taken up again and again."""
        again = self._now() + AFTER_TROUBLE_SECONDS * 1_000_000
        try:
            await self._journal.commit(
                Commit(run_id=run.run_id, epoch=run.epoch, condition=Condition.WAITING, release=True, wake_at=again)
            )
        except JournalError as error:
            logger.warning("schedule %r could not be put off (%s)", run.workflow_id, error)
            self._host.doubt_claims()

    def _now(self) -> int:
        return self._journal.clock.now()
