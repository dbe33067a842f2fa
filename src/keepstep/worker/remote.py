"""Remote steps: steps with ``queue=``, executed by whichever worker serves that queue.

The same claim admits the runs that wait on these queues, because they share their limits.

The task says which step and with which arguments; the executing worker holds it under its lease, retries by the step's
policy, and answers with a message to the run. A worker that dies loses its lease, and the task is handed out again.
What a heartbeat notes is kept as state of the run, by commits under the task's token; so is what it writes to streams
said to the run (``remote_words``).

A step that kills its worker again and again is found as a run is (``probe``): one whose workers have died is a suspect;
suspects are executed one at a time in each worker, and each is noted durably before it. One that has been noted too
often has failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import (
    PROBE_STRIKES,
    QUARANTINE_STRIKES,
    Claimed,
    Commit,
    Fenced,
    JournalError,
    NewMessage,
    NotFound,
    RunClosed,
    StateChange,
    Task,
    TaskToken,
    TooLarge,
)
from keepstep.runtime.errors import Cancelled, TimedOut, WorkersDied
from keepstep.runtime.registry import find_step, steps
from keepstep.runtime.step import Step, with_published_options

from .attempt import MAY_HAVE_HAPPENED, AttemptRecord, StepInfo, enter_step, sealed_error
from .bell import Bell
from .heart import HEARTBEAT, Heart
from .inbox import StepAnswer
from .remote_words import RemoteWords
from .remote_work import RemoteWorkWithHeaders
from .telling import TOLD, Telling
from .unheard import Doubt
from .voice import Voice

if TYPE_CHECKING:
    from .worker import Worker

logger = logging.getLogger("keepstep.worker")

TASKS_MAX = 100

PAUSE_SECONDS_MIN = 0.001

CUTTING_OFF_SECONDS_MAX = 1.0
"""So long are steps waited for that were told to end, and may decline to."""

TELLINGS_MAX = 8
"""So often is the journal told what came of an attempt while it is in trouble: over about 25 seconds."""


SUSPECTED = "suspected"
"""State kind: how often a suspect was about to be executed when this was written, by the step's key."""


_decode = msgspec.msgpack.Decoder(RemoteWorkWithHeaders).decode


def state_of_remote(key: str) -> tuple[StateChange, ...]:
    """Forgets what whoever executed a step has written."""
    return StateChange(HEARTBEAT, key, None), StateChange(SUSPECTED, key, None)


class RemoteSteps:
    """Claims and executes tasks of kind ``step``, and has runs admitted that wait on queues."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._news = Bell()
        self._busy: set[asyncio.Task[None]] = set()
        self._in_hand: set[TaskToken] = set()
        self._doubt = Doubt(worker.journal.clock, worker.options.lease_seconds)
        self._cut_off: set[asyncio.Task[None]] = set()
        self._suspects = asyncio.Lock()

    def wake(self) -> None:
        """There may be a task."""
        self._news.ring()

    async def serve(self) -> None:
        """Claim and execute until cancelled."""
        while True:
            self._news.clear()
            claimed = Claimed()
            if not self._worker.steps.is_stopping:
                try:
                    claimed = await self._claim()
                except JournalError as error:
                    logger.warning("claiming from queues failed: %s", error)
                    if not isinstance(error, Fenced):
                        self._doubt.begin()
                        self._worker.doubt_claims()
            for task in claimed.tasks:
                self._begin(task)
            await self._worker.admission.take_up(claimed.runs)
            if not claimed.tasks and not claimed.runs:
                await self._news.wait(self._pause(claimed.again_at))

    def _pause(self, again_at: int | None) -> float:
        """Until a queue may hand out more without news."""
        poll = self._worker.options.poll_seconds
        if again_at is None:
            return poll
        return min(poll, max((again_at - self._worker.journal.clock.now()) / 1e6, PAUSE_SECONDS_MIN))

    async def _claim(self) -> Claimed:
        """Steps to be executed: first those that an earlier claim has brought unheard. And runs that are admitted."""
        room = TASKS_MAX - len(self._busy) if steps() else 0
        for_runs = min(self._worker.room_for_runs(), self._worker.options.claim_max)
        queues = self._worker.options.queues
        types = self._worker.served.ticket_keys(queues) if for_runs > 0 else ()
        if room <= 0 and not types:
            return Claimed()
        journal, lease_id = self._worker.journal, self._worker.lease_id
        if self._doubt.wants_a_look():
            known = set(self._in_hand)
            held = await journal.list_held_tasks(lease_id)
            unheard = [task for task in held if task.token not in known | self._in_hand]
            if unheard and room > 0:
                return Claimed(unheard[:room])
        kinds = ("step",) if room > 0 else ()
        limit = min(room if kinds else for_runs, for_runs if types else room)
        return await journal.claim_work(lease_id, queues, kinds, limit, types)

    @property
    def is_busy(self) -> bool:
        """True while steps are being executed."""
        return bool(self._busy)

    async def cut_off(self) -> None:
        """End what is still being executed: the lease is over or will be, and with it the tasks are others'."""
        self._cut_off |= self._busy
        for each in self._busy:
            each.cancel()
        if self._busy:
            await asyncio.wait(self._busy, timeout=CUTTING_OFF_SECONDS_MAX)

    def _begin(self, task: Task) -> None:
        running = asyncio.create_task(self._execute(task))
        self._busy.add(running)
        self._in_hand.add(task.token)
        running.add_done_callback(partial(self._ended, task.token))

    def _ended(self, token: TaskToken, running: asyncio.Task[None]) -> None:
        self._busy.discard(running)
        self._in_hand.discard(token)
        self._cut_off.discard(running)
        self._news.ring()
        self._worker.check_emptied()
        if not running.cancelled() and running.exception() is not None:
            logger.error("executing a step for a queue failed: %r", running.exception())
            self._doubt.begin()  # the lease holds the task still, and nobody has it in hand

    async def _execute(self, task: Task) -> None:
        work = _decode(task.data)
        known = find_step(work.step)
        if known is None:
            pause = self._worker.journal.clock.now() + 5_000_000
            logger.warning("queue %r has step %r, which this worker does not know", task.queue, work.step)
            await self._put_back(task, work, pause)
            return
        step = known if work.options is None else with_published_options(known, work.options)
        if not work.record.first_at:
            record = msgspec.structs.replace(work.record, first_at=self._worker.journal.clock.now())
            work = msgspec.structs.replace(work, record=record)
        if work.deaths(task) < PROBE_STRIKES:
            await self._attempt(task, step, work)
            return
        async with self._suspects:
            await self._attempt_suspect(task, step, work)

    async def _attempt_suspect(self, task: Task, step: Step[Any, Any], work: RemoteWorkWithHeaders) -> None:
        """Note durably that a suspect is executed; if that was noted too often, it has failed."""
        noted = PROBE_STRIKES + len(await self._noted(task, SUSPECTED))
        if noted < QUARANTINE_STRIKES:
            logger.warning("step %s of run %s: %d workers have died with it", task.key, task.run_id, noted)
            await self._note(task, StateChange(SUSPECTED, task.key, b"x" * (noted - PROBE_STRIKES + 1)))
            await self._attempt(task, step, work)
            return
        error = WorkersDied(f"step {step.name!r} was being executed by {noted} workers when they died")
        failure = sealed_error(error)
        await self._answer(task, StepAnswer(False, failure, work.record.attempts + 1, is_uncertain=True))

    async def _attempt(self, task: Task, step: Step[Any, Any], work: RemoteWorkWithHeaders) -> None:
        is_patient = step.run_options.on_cancel == "wait"
        if is_patient and await self._noted(task, TOLD):
            failure = sealed_error(Cancelled(f"step {step.name!r} was told to end when nobody was executing it"))
            uncertain = work.record.is_uncertain or work.deaths(task) > 0
            await self._answer(task, StepAnswer(False, failure, work.record.attempts, uncertain))
            return
        telling = Telling(step, lambda: self._noted(task, TOLD))
        try:
            value = await self._call(task, step, work, telling)
            payload = self._worker.steps.sealed(step, value)
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except asyncio.CancelledError:
            if asyncio.current_task() in self._cut_off:
                await self._put_back(task, work, 0)
                raise
            if telling.is_told:
                await self._failed(task, step, work, Cancelled(f"step {step.name!r} was told to end"), is_last=True)
                return
            await self._failed(task, step, work, TimedOut(f"step {step.name!r} was cancelled by its own code"))
        except BaseException as error:
            await self._failed(task, step, work, error, is_last=telling.is_told)
        else:
            await self._answer(task, StepAnswer(True, payload, work.record.attempts + 1))

    async def _call(self, task: Task, step: Step[Any, Any], work: RemoteWorkWithHeaders, telling: Telling) -> Any:
        heart = Heart(self._worker.loop, self._worker.journal.clock, lambda details: self._keep(task, details, heart))
        details = await self._last_heartbeat(task)
        number, headers = work.record.attempts + 1, work.headers or {}
        words = RemoteWords(self._worker.journal, task)
        voice = Voice(self._worker.loop, self._worker.thread, task.key, number, words.send, lambda: not heart.is_over)
        info = StepInfo(task.run_id, work.workflow_id, task.key, number, details, heart.beat, voice.say, headers)
        enter_step(info)
        args, kwargs = step.signature.decode_args(work.arguments)
        call = self._worker.steps.limited_call(step, args, kwargs, work.record, heart, headers)
        watching = self._worker.watching
        telling.begin(heart)
        try:
            value = await (call if watching is None else watching.remote(task, step, work, call))
        except Exception:
            with suppress(Exception):  # the step's own error is the one to tell
                await voice.finish()
            raise
        else:
            await voice.finish()
            return value
        finally:
            telling.end()
            heart.is_over = True

    async def _last_heartbeat(self, task: Task) -> bytes:
        """What an earlier attempt has noted; a task that was never claimed before had none."""
        return b"" if task.token.epoch == 1 else await self._noted(task, HEARTBEAT)

    async def _noted(self, task: Task, kind: str) -> bytes:
        try:
            state = await self._worker.journal.read_state(task.run_id, kind)
        except JournalError as error:
            logger.warning("the %s of a step of run %s could not be read: %s", kind, task.run_id, error)
            return b""
        return state.get((kind, task.key), b"")

    def _keep(self, task: Task, details: bytes, heart: Heart) -> None:
        self._worker.spawn(self._keep_heartbeat(task, details, heart))

    async def _keep_heartbeat(self, task: Task, details: bytes, heart: Heart) -> None:
        if not await self._note(task, StateChange(HEARTBEAT, task.key, details)):
            heart.is_over = True

    async def _note(self, task: Task, change: StateChange) -> bool:
        """False if the task is not this worker's any more, or the run does not want the step."""
        commit = Commit(run_id=task.run_id, task_token=task.token, keep_task=True, state=(change,))
        try:
            await self._worker.journal.commit(commit)
        except JournalError as error:
            logger.info("the %s of a step of run %s was not kept: %s", change.kind, task.run_id, error)
            return not isinstance(error, Fenced | NotFound | RunClosed)
        return True

    async def _failed(
        self,
        task: Task,
        step: Step[Any, Any],
        work: RemoteWorkWithHeaders,
        error: BaseException,
        *,
        is_last: bool = False,
    ) -> None:
        """``is_last``: no other attempt follows, because the step was told to end."""
        record = work.record
        failure = sealed_error(error)
        uncertain = record.is_uncertain or isinstance(error, MAY_HAVE_HAPPENED)
        uncertain |= is_last and isinstance(error, Cancelled)
        attempts = record.attempts + 1
        pause = None if is_last else self._worker.steps.pause(step, attempts, record.first_at, error)
        if pause is None:
            await self._answer(task, StepAnswer(False, failure, attempts, uncertain))
            return
        next_at = self._worker.journal.clock.now() + round(pause * 1e6)
        record = AttemptRecord(attempts, record.first_at, next_at, failure, uncertain)
        await self._put_back(task, msgspec.structs.replace(work, record=record), next_at)
        self._worker.loop.call_later(pause, self.wake)

    async def _put_back(self, task: Task, work: RemoteWorkWithHeaders, visible_at: int) -> None:
        data = msgspec.msgpack.encode(msgspec.structs.replace(work, put_back_at=task.token.epoch))
        attempt = work.record.attempts + 1
        journal = self._worker.journal
        await self._tell(
            task, lambda: journal.release_task(task.token, visible_at=visible_at, attempt=attempt, data=data)
        )

    async def _answer(self, task: Task, said: StepAnswer) -> None:
        message = NewMessage(run_id=task.run_id, kind="step_result", name=task.key, data=msgspec.msgpack.encode(said))
        gone = state_of_remote(task.key)
        commit = Commit(run_id=task.run_id, task_token=task.token, send=(message,), state=gone)
        await self._tell(task, lambda: self._worker.journal.commit(commit))

    async def _tell(self, task: Task, tell: Callable[[], Awaitable[Any]]) -> None:
        """Tell the journal what came of an attempt, again and again while it is in trouble."""
        pause = 0.1
        for tries in range(1, TELLINGS_MAX + 1):
            try:
                await tell()
                return
            except (Fenced, NotFound, RunClosed) as error:
                logger.info("the answer of a step of run %s is not wanted any more: %s", task.run_id, error)
                return
            except JournalError as error:
                logger.warning("step %s of run %s could not be answered: %s", task.key, task.run_id, error)
                if tries == TELLINGS_MAX or isinstance(error, TooLarge):
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)
