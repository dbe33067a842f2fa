"""Resident: one run that this worker owns and has in memory, with the pipeline between it and the journal.

    operation asked ─► begun ─► result ─► commit submitted ─► durable ─► event delivered ─► loop quiet ─► …

Invariants

* Events get their ``seq`` when their commit is submitted; commits of one run are submitted, become durable and are
  delivered in the same order. An event is delivered only when it is durable.
* A refused commit means that the run is somebody else's or closed: the resident is dropped, and nothing that its code
  does afterwards has any effect (``Execution.detach``).
* Whatever can be derived is not kept here: a resident that is dropped and loaded again goes on from the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    Deed,
    DeedFailed,
    Event,
    Fenced,
    JournalError,
    Message,
    NewEvent,
    NewTask,
    NotFound,
    ParentLink,
    Promise,
    RunClosed,
    StateChange,
    Status,
    Timer,
    TooLarge,
    Transaction,
)
from keepstep.runtime import history
from keepstep.runtime.blocked import Diff
from keepstep.runtime.execution import Execution
from keepstep.runtime.history import pack
from keepstep.runtime.operation import ChildOperation, MessageOperation, Operation, StepOperation, TimerOperation

from .attempt import ATTEMPT, Attempt, AttemptRecord, decode_attempt, encode_attempt
from .ending import closing_commit
from .heart import HEARTBEAT
from .inbox import answer, told_of
from .lane import HandIn, Lane
from .misfit import diff_of, is_foreseen
from .opening import HUMAN_TASK, Opening
from .parking import Parking
from .pause import of_pausing
from .remote import state_of_remote
from .reply import UPDATE
from .revival import revive_children
from .said import Hearing
from .telling import TOLD
from .unwanted import have_it_end, let_go
from .updating import PATIENCE_SECONDS, UPDATE_OUTCOMES, Updating, outcome_events
from .waits import condition_of, detail_of
from .watchdog import TurnTooLong
from .words import encode_detail

if TYPE_CHECKING:
    from .worker import Worker

logger = logging.getLogger("keepstep.worker")

WORKFLOW_TIMEOUT_KEY = "@timeout"


class Resident:
    """See the module's docstring. What is the same for every run that begins stands at the class."""

    inbox_seen = 0
    in_flight = 0
    """Commits submitted and not yet durable."""
    has_begun = False
    is_dropped = False
    is_closing = False
    is_shown = False
    """The journal says that this run waits; the next event takes that back."""
    is_resting = False
    """The worker has it among the idle ones."""
    is_to_be_shown = False
    """The worker shows it when it has been quiet for a while."""
    is_suspect = False
    """Owners of this run have died while it made no progress."""
    is_probed = False
    """So often that its code is run in noted slices (``probe``)."""
    _is_replayed = False
    """It was replayed, and observers have not heard of that."""
    hearing: Hearing | None = None
    """What was said to it, if somebody observes."""
    terminated_because: str | None = None
    """Its parent has ended, and wants it ended by force: why."""
    input_digest = b""
    """Of what the run, or the first of those that it continues, was started with."""
    is_compensation_announced = False
    is_beginning = False
    """What was said to it before it was loaded has not been taken yet."""
    _postponed_since = 0.0
    _updating: Updating | None = None
    last_submitted: Promise | None = None
    """The last commit; those before it end before it."""

    def __init__(
        self, worker: Worker, execution: Execution, *, epoch: int, last_seq: int, parent: ParentLink | None = None
    ) -> None:
        self.worker = worker
        self.execution = execution
        self.run_id = execution.identity.run_id
        self.epoch = epoch
        self.last_seq = last_seq
        """Of the last event submitted."""
        self.parent = parent
        self.attempts: dict[str, AttemptRecord] = {}
        """Of steps that have had a failed attempt and not ended, by key."""
        self.heartbeats: dict[str, bytes] = {}
        """Sealed details of the last heartbeat, by the step's key."""
        self.state_keys: set[tuple[str, str]] = set()
        """What the journal holds as state of this run."""
        self._state_going: set[tuple[str, str]] = set()
        """What is being deleted by commits that are not durable yet, and may be refused."""
        self.running: dict[str, Attempt] = {}
        """Attempts being executed here, or waiting for a free place, by key."""
        self.due: dict[str, int] = {}
        """When this run wants to act by itself: timers and next attempts, engine time by key."""
        self.answered: set[str] = set()
        """Keys whose answer was submitted and not yet delivered."""
        self._lane = Lane(worker)
        self.parking = Parking(self)
        self.quiet_since = worker.journal.clock.now()
        """Engine time of the last thing done for this run."""
        self.terminated_by: list[int] = []
        """Arrival numbers of the messages by which its parent ends it. Only the last commit consumes them: if it is
        lost, whoever has the run next must hear of it as well."""
        self.attributes: dict[str, Any] = {}
        """As the journal has them, and the code has changed them since."""
        self._held_back: list[Operation] = []
        """Asked for after a choice of version that is not durable yet; begun when it is."""
        self._postponed: list[Message] = []
        """Read, and not taken: the first of them is an update, which waits until the run is settled."""
        self.reviving: set[str] = set()
        """Keys of children that are to be looked at because the run was reopened."""
        self._unoffered: list[NewTask] = []
        """Tasks that an owner before this one may have offered already; see ``offer_tasks``."""

    # beginning

    def begin(self, events: Sequence[Event], state: dict[tuple[str, str], bytes], *, is_first: bool = False) -> None:
        """Replay what is recorded and go on from there. ``is_first``: nobody has run any of its code before."""
        self.has_begun = self.is_beginning = True
        self.state_keys.update(state)
        for (kind, key), data in state.items():
            if kind == ATTEMPT:
                self.attempts[key] = decode_attempt(data)
            elif kind == HEARTBEAT:
                self.heartbeats[key] = data
        if self.worker.watching is not None:
            self.worker.watching.begin(self, events, is_first=is_first)
        replay = partial(self.execution.replay, is_first=is_first, went_on=self.worker.watchdog.go_on)
        self._is_replayed = not is_first and self.worker.watching is not None
        self._guarded(replay, events)
        if self.execution.children_seen is not None:
            revive_children(self)

    def _tell_replayed(self) -> None:
        self._is_replayed = False
        if self.worker.watching is not None:
            self.worker.watching.replayed(self)

    def _guarded(self, advance: Callable[[Any], None], what: Any) -> None:
        """Let the code run, then take up what it asks for. Code that cannot go on blocks the run, not the worker."""
        if self.is_dropped or self.parking.is_under_way:
            return
        watchdog = self.worker.watchdog
        watchdog.enter()
        try:
            try:
                advance(what)
            finally:
                if watchdog.leave():  # the code may have caught the error, or a task of it ended with it
                    raise TurnTooLong
        except (Exception, SystemExit, asyncio.CancelledError, GeneratorExit) as error:
            self._block_for(error)
        self._after_turn()

    def _after_turn(self) -> None:
        """Do what follows from a turn. What the code has asked for may be such that it cannot be taken up."""
        try:
            if self.parking.blocked is None:
                if self._is_replayed:
                    self._tell_replayed()
                self._follow_up()
        except Exception as error:
            self._block_for(error)
        if self.parking.blocked is not None:
            self.parking.finish()

    def _block_for(self, error: BaseException) -> None:
        if not is_foreseen(error):
            logger.error("run %s: unexpected error while advancing", self.run_id, exc_info=error)
        self.parking.block(diff_of(error))

    def _follow_up(self) -> None:
        execution = self.execution
        if execution.has_dropped:
            for operation in execution.take_dropped():
                let_go(self, operation)
        if execution.ending:
            for cancelled in execution.take_cancelled():
                have_it_end(self, cancelled)
        if execution.markers.unconfirmed:
            self._record_markers()
        if execution.notes.new:
            self._record_notes()
        if execution.streams.new:
            for each in execution.streams.take_new():
                self.record_words((each,), is_progress=True)
        if execution.outcome is not None or self.terminated_because is not None:
            self._close()
            return
        if execution.has_new or self._held_back:
            self._take_up(execution.take_new())
        if execution.handling.has_unrecorded:
            self.append(*outcome_events(self))
        if execution.status_text is not None or execution.attributes:
            self._tell_ambient()
        if bool(execution.compensating) is not self.is_compensation_announced:
            self.is_compensation_announced = not self.is_compensation_announced
            self.append(condition=Condition.COMPENSATING if execution.compensating else Condition.NONE)
        self.worker.rest(self)

    # operations

    def _take_up(self, new: Sequence[Operation]) -> None:
        """Begin what the code has asked for; whatever must be recorded of it travels in one commit."""
        if self.execution.ending:
            new = [each for each in new if each.key not in self.answered]
        if self._held_back or self.execution.markers.unconfirmed:
            new = self._hold_back(new)
        if len(new) == 1 and type(new[0]) is StepOperation and new[0].step.run_options.queue is None:
            self.worker.steps.begin(self, new[0])
            return
        opening = Opening(self)
        for operation in new:
            opening.begin(operation)
        if self.is_beginning:
            self._unoffered += opening.tasks
            opening.tasks.clear()
        opening.commit()

    def _record_markers(self) -> None:
        """Record which versions the code has chosen."""
        events = [
            self.event(
                history.VERSION_MARKED,
                each.key,
                pack(history.VersionMarked(each.marker, each.version, each.asked_seq)),
            )
            for each in self.execution.markers.take_new()
        ]
        if events:
            self.append(*events)

    def _record_notes(self) -> None:
        """Record what the code has said to people."""
        notes = self.execution.notes.take_new()
        self.append(*(self.event(history.NOTE_ADDED, None, pack(each)) for each in notes))

    def record_words(self, said: Sequence[history.StreamWritten], *, is_progress: bool = False) -> Promise:
        """Record what the code, or (which is no progress of the run) a step on its way, has written to streams."""
        events = [self.event(history.STREAM_WRITTEN, None, pack(each)) for each in said]
        return self.append(*events, is_spoken=True, is_progress=is_progress)

    def _hold_back(self, new: Sequence[Operation]) -> Sequence[Operation]:
        """What may be begun now: nothing while a choice of version is not durable, since a crash may undo that.

        Code that came to the choice anew would perhaps go the other way, and do another thing beside what was begun.
        """
        held, self._held_back = [*self._held_back, *new], []
        if self.execution.markers.unconfirmed:
            self._held_back = held
            return ()
        pending = self.execution.pending
        return [
            each
            for each in held
            if not each.abandoned and pending.get(each.key) is each and each.key not in self.answered
        ]

    def offer_tasks(self) -> None:
        """Offer what the replayed code still waits for, once everything in the inbox has been taken.

        The task of a step that has been answered is gone; offered again, it would be executed again. An answer may come
        at this very moment, and so the commit holds only while the inbox is as it was seen.
        """
        self.is_beginning = False
        pending = self.execution.pending
        tasks = tuple(each for each in self._unoffered if each.key in pending and each.key not in self.answered)
        self._unoffered.clear()
        if self.parking.is_under_way:
            self.parking.finish()
            return
        if not tasks or self.is_dropped or self.is_closing:
            self.worker.rest(self)
            return
        self._unoffered += tasks
        self.in_flight += 1
        commit = Commit(run_id=self.run_id, epoch=self.epoch, tasks=tasks, inbox_seen=self.inbox_seen)
        self._lane.submit(commit, self._offered)

    def _offered(self, done: Promise) -> None:
        self.in_flight -= 1
        error = done.exception()
        if error is None:
            self._unoffered.clear()
            self.parking.finish() if self.parking.is_under_way else self.worker.rest(self)
        elif isinstance(error, Conflict):
            self.worker.spawn(self._look_for_answers())
        else:
            self.refused(error)
        self._when_settled()

    async def _look_for_answers(self) -> None:
        """Something was said to the run before its tasks could be offered: perhaps an answer to one of them."""
        try:
            messages = await self.worker.journal.read_messages(self.run_id)
        except JournalError as error:
            self.refused(error)
            return
        self.take_messages(messages)
        self.offer_tasks()

    def forget_state(self, key: str) -> list[StateChange]:
        """Delete what is remembered of an operation that has ended."""
        self.attempts.pop(key, None)
        self.heartbeats.pop(key, None)
        mine = [(kind, key) for kind in (ATTEMPT, HEARTBEAT, HUMAN_TASK, TOLD) if (kind, key) in self.state_keys]
        self.state_keys.difference_update(mine)
        self._state_going.update(mine)
        return [StateChange(kind, each, None) for kind, each in mine]

    def all_state_keys(self) -> set[tuple[str, str]]:
        """All state that the journal may hold of this run: what is being deleted may be refused.

        Whoever executes a step from a queue writes some on its own, and the owner of the run does not hear of it.
        """
        keys = self.state_keys | self._state_going
        for operation in self.execution.pending.values():
            if isinstance(operation, StepOperation) and operation.step.run_options.queue is not None:
                keys |= {(each.kind, each.key) for each in state_of_remote(operation.key)}
        return keys

    def remember_attempt(self, key: str, record: AttemptRecord) -> Promise:
        """Keep where a step stands between its attempts."""
        self.attempts[key] = record
        self.state_keys.add((ATTEMPT, key))
        has_ended = record.attempts > 0 and not record.once_begun
        progress: dict[str, Any] = {"clear_strikes": True} if self.is_suspect and has_ended else {}
        return self.append(state=[StateChange(ATTEMPT, key, encode_attempt(record))], **progress)

    def keep_heartbeat(self, key: str, details: bytes) -> None:
        """Keep the sealed details of a step's heartbeat for its later attempts."""
        self.heartbeats[key] = details
        self.state_keys.add((HEARTBEAT, key))
        self.append(state=[StateChange(HEARTBEAT, key, details)])

    # answers

    def complete_step(self, operation: StepOperation, payload: bytes, attempts: int, resolved_by: str = "") -> None:
        """Record a step's result."""
        data = pack(history.StepCompleted(operation.digest, payload, attempts, resolved_by, operation.asked_seq))
        self.answer(operation, history.STEP_COMPLETED, data)

    def fail_step(
        self, operation: StepOperation, failure: bytes, attempts: int, uncertain: bool, resolved_by: str = ""
    ) -> None:
        """Record a step's final error: a sealed ``Failure``."""
        data = pack(
            history.StepFailed(operation.digest, failure, attempts, uncertain, resolved_by, operation.asked_seq)
        )
        self.answer(operation, history.STEP_FAILED, data)

    def complete_by_deed(self, operation: StepOperation, deed: Deed, settled: Callable[[Promise], None]) -> None:
        """Let the store do a step's work in the commit that records it. ``settled`` is called with the outcome."""
        self._complete_alone(operation, settled, self.worker.journal.submit, deed=deed)

    def complete_within(
        self, transaction: Transaction, operation: StepOperation, event: NewEvent, settled: Callable[[Promise], None]
    ) -> None:
        """Record a step's work in the transaction in which it was done, likewise."""
        self._complete_alone(operation, settled, partial(self._lane.commit_within, transaction), event)

    def _complete_alone(
        self,
        operation: StepOperation,
        settled: Callable[[Promise], None],
        hand_in: HandIn,
        *events: NewEvent,
        deed: Deed | None = None,
    ) -> None:
        key = operation.key
        self.answered.add(key)
        gone = [StateChange(*each, None) for each in ((ATTEMPT, key), (HEARTBEAT, key)) if each in self.state_keys]
        heard = partial(self._completed_alone, key, settled)
        self.append(*events, state=gone, deed=deed, heard=heard, alone=hand_in)

    def _completed_alone(self, key: str, settled: Callable[[Promise], None], done: Promise) -> None:
        error = done.exception()
        if error is None:
            self.forget_state(key)
        else:
            self.last_seq -= 1
            self.answered.discard(key)
            self.is_shown = self.is_shown or done.commit.condition is not None
        self._lane.go_on(0 if error is None else 1)
        if isinstance(error, DeedFailed):
            self.in_flight -= 1
            settled(done)
            self.worker.rest(self)
            self._when_settled()
            return
        settled(done)
        self._committed(done)

    def answer(self, operation: Operation, type_: str, data: bytes, **changes: Any) -> None:
        """Record what answers an operation, once."""
        key = operation.key
        if operation.abandoned or key in self.answered or self.is_dropped:
            return
        self.answered.add(key)
        if self.due:
            self.not_due(key)
        gone = self.forget_state(key) if self.state_keys else ()
        self.append(NewEvent(type_, self.worker.journal.clock.now(), key, data), state=gone, **changes)

    def take_messages(self, messages: Sequence[Message]) -> None:
        """Record what was said to the run since the last look into its inbox."""
        fresh = [each for each in messages if each.n > self.inbox_seen]
        if self.parking.is_pausing:
            fresh = of_pausing(fresh)  # everything else waits for the run to be resumed
        if not fresh or self.is_dropped or self.parking.blocked is not None:
            return
        if self._postponed or any(each.kind == UPDATE for each in fresh):
            fresh = self._up_to_update(fresh)
            if not fresh:
                return
        self.inbox_seen = fresh[-1].n
        events: list[NewEvent] = []
        state: list[StateChange] = []
        for message in fresh:
            try:
                self.worker.unreadable.refuse(message)
                answer(self, message, events, state)
            except Exception as error:  # the others whose messages are read with this one must get theirs
                what = str(error) if isinstance(error, JournalError) else repr(error)
                self.parking.block(Diff(f"a message of kind {message.kind!r} cannot be read: {what}"))
                self.parking.finish()
                return
        consumed = [each.n for each in fresh if each.n not in self.terminated_by]
        if consumed:
            changes: dict[str, Any] = {**self.parking.changes(), **told_of(events)}
            self.append(*events, consume=consumed, state=state, **changes)
        if self.terminated_because is not None:
            self._close()

    def _up_to_update(self, fresh: Sequence[Message]) -> list[Message]:
        """What can be taken now, in order: an update only by itself, and when nothing is on its way before it."""
        said = {each.n: each for each in (*self._postponed, *fresh) if each.n > self.inbox_seen}
        waiting = [said[n] for n in sorted(said)]
        now = self.worker.journal.clock.monotonic()
        if not self._postponed:
            self._postponed_since = now
        first = next((n for n, each in enumerate(waiting) if each.kind == UPDATE), len(waiting))
        if first == 0 and (not self.in_flight or now - self._postponed_since > PATIENCE_SECONDS):
            first = 1
        self._postponed = waiting[first:]
        return waiting[:first]

    @property
    def can_be_asked(self) -> bool:
        """It has come to where its history ends, and is not leaving."""
        return self.has_begun and not (self.is_dropped or self.parking.is_under_way or self.is_closing)

    @property
    def updating(self) -> Updating:
        """How its updates are accepted and answered."""
        if self._updating is None:
            self._updating = Updating(self)
        return self._updating

    def leave(self) -> list[Promise]:
        """It leaves memory; the commits that are still on their way."""
        if self._updating is not None:
            self._updating.drop()
        return self._lane.on_its_way()

    def take_apart(self) -> None:
        """It has left for ever: see ``Execution.take_apart``."""
        del self.parking.resident
        self.execution.take_apart()

    def _when_settled(self) -> None:
        """A commit has ended: perhaps nothing is on its way into the history, and what waited for that can go on."""
        if self._postponed and not self.is_closing:
            self.take_messages(self._postponed)
        if self._updating is not None:
            self._updating.decide()
        if self.execution.outcome is not None and not self.in_flight and not self.parking.is_under_way:
            self._close()

    def wake_at(self, key: str, moment: int) -> None:
        """Act on that key at that engine time."""
        before = self.due.get(key)
        if before == moment:
            return
        if before is not None:
            self.worker.alarms.leave(1)
        self.due[key] = moment
        self.worker.alarms.set(moment, self, key)

    def not_due(self, key: str) -> None:
        """Do not act on that key any more."""
        if self.due.pop(key, None) is not None:
            self.worker.alarms.leave(1)

    def is_due(self, key: str, moment: int) -> bool:
        """True while an alarm for that moment is wanted."""
        return not self.is_dropped and self.due.get(key) == moment

    def ring(self, key: str) -> None:
        """The time set by ``wake_at`` has come."""
        del self.due[key]
        if self.is_closing or self.parking.is_under_way:
            return
        if key == WORKFLOW_TIMEOUT_KEY:
            self.append(self.event(history.TIMEOUT_REACHED, None, pack(history.TimeoutReached())))
            return
        operation = self.execution.pending.get(key)
        if isinstance(operation, TimerOperation):
            self.answer(operation, history.TIMER_FIRED, history.EMPTY)
        elif isinstance(operation, StepOperation):
            self.worker.steps.begin(self, operation)
            self.worker.rest(self)

    # committing

    def event(self, type_: str, key: str | None, data: bytes) -> NewEvent:
        return NewEvent(type_, self.worker.journal.clock.now(), key, data)

    def append(
        self,
        *events: NewEvent,
        state: Sequence[StateChange] = (),
        consume: Sequence[int] = (),
        deed: Deed | None = None,
        heard: Callable[[Promise], None] | None = None,
        alone: HandIn | None = None,
        **changes: Any,
    ) -> Promise:
        """Submit one commit under this worker's lease; deliver its events once they are durable.

        Whoever awaits the promise shields it: were it cancelled, the run would never hear what became of its commit.
        """
        if self.is_shown and "condition" not in changes:
            changes["condition"] = Condition.COMPENSATING if self.execution.compensating else Condition.NONE
            changes["detail"] = b""
        self.is_shown = False
        if self.is_suspect and events and alone is None and changes.get("is_progress", True):
            changes["clear_strikes"] = True
        if "clear_strikes" in changes:
            self.is_suspect = self.is_probed = False
        count = len(events) if deed is None else 1
        commit = Commit(
            run_id=self.run_id,
            epoch=self.epoch,
            first_seq=self.last_seq + 1 if count else None,
            events=events,
            state=tuple(state),
            consume=tuple(consume),
            deed=deed,
            **changes,
        )
        self.last_seq += count
        self.in_flight += 1
        self.quiet_since = events[0].time if events else self.worker.journal.clock.now()
        self.last_submitted = promise = self._lane.submit(commit, heard or self._committed, alone)
        return promise

    def _committed(self, done: Promise) -> None:
        """A commit has ended."""
        self._hear_of(done)
        if self._postponed or self._updating is not None or self.execution.outcome is not None:
            self._when_settled()

    def _hear_of(self, done: Promise) -> None:
        """Deliver what a commit has recorded. It is in flight until its last event is being delivered.

        A run that seems to wait after the first of them would be given back, and nobody would wake it for the others.
        """
        error = done.exception()
        events = done.commit.events
        if error is None:
            events += done.result().recorded
        if error is not None or not events:
            self.in_flight -= 1
        if error is not None:
            self.refused(error)
            return
        if self.is_dropped:
            return
        if self._state_going:
            self._state_going.difference_update((each.kind, each.key) for each in done.commit.state)
        last_seq = (done.commit.first_seq or 0) + len(events) - 1
        for seq, new in enumerate(events, done.commit.first_seq or 0):
            if seq == last_seq:
                self.in_flight -= 1
            event = Event(seq, new.type, new.time, new.key, new.data)
            if new.key is not None:
                self.answered.discard(new.key)
            if self.hearing is not None and self.worker.watching is not None:
                self.worker.watching.recorded(self, self.hearing, event)
            self._guarded(self.execution.deliver, event)
        if self.parking.is_under_way:
            self.parking.finish()
            return
        if events or self.is_dropped or self.in_flight:
            return
        if self.execution.outcome is not None or self.terminated_because is not None:
            self._close()  # refused before, because of a message that has turned out to be a repetition
        else:
            self.worker.rest(self)

    def refused(self, error: BaseException) -> None:
        """The journal did not do what was asked for this run."""
        if self.is_dropped:
            return
        if isinstance(error, Fenced | RunClosed | NotFound):
            logger.info("run %s is not this worker's any more: %s", self.run_id, error)
            self.worker.drop(self)
            self.worker.look_at_end(self.run_id, self.epoch)
        elif self.parking.blocked is not None:
            self.parking.finish()
        elif isinstance(error, TypeError | ValueError | OverflowError):  # among them TooLarge; no other try helps
            what = str(error) if isinstance(error, JournalError) else repr(error)
            self.parking.block(Diff(f"what the run asked for cannot be recorded: {what}"))
            self.parking.finish()
        else:
            logger.warning("run %s: %r; reading it again", self.run_id, error)
            self.worker.reload(self)

    def _tell_ambient(self) -> None:
        execution = self.execution
        changes: dict[str, Any] = {}
        if execution.status_text is not None:
            changes["status_text"], execution.status_text = execution.status_text, None
        if execution.attributes:
            self.attributes |= execution.attributes
            changes["attributes"], execution.attributes = execution.attributes, {}
        self.append(**changes)

    # ending

    def _close(self) -> None:
        """The workflow function has ended: record how, unless there are messages that nobody has seen yet."""
        if self.is_closing or self.is_dropped or (self.in_flight and self._has_to_hear_all()):
            return
        self.is_closing = True
        for attempt in list(self.running.values()):
            attempt.cancel()
        outcomes = outcome_events(self) if self.execution.handling.has_unrecorded else []
        commit = closing_commit(self, outcomes)
        self.in_flight += 1
        self._lane.submit(commit, self._closed)

    def _has_to_hear_all(self) -> bool:
        """Whether what is on its way into the history matters still: a handler may have to be called with it.

        Signals that nobody has received go on with a run that continues, and so must have been delivered too.
        """
        ended = self.execution.outcome
        is_continued = ended is not None and ended.status is Status.CONTINUED
        return self.terminated_because is None and (is_continued or self.execution.workflow.cls is not None)

    def _closed(self, done: Promise) -> None:
        self.in_flight -= 1
        error = done.exception()
        handling = self.execution.handling
        if error is None:
            if self._updating is not None and handling.unrecorded:
                self._updating.tell_all(handling.unrecorded)
            if self.worker.watching is not None and done.commit.status is not None:
                self.worker.watching.closed(self, done.commit, done.commit.status)
            self.worker.forget(self)
            return
        handling.give_back(
            history.unpack(each.type, each.data).id for each in done.commit.events if each.type in UPDATE_OUTCOMES
        )
        if isinstance(error, Conflict):
            self.worker.spawn(self._look_into_inbox())
        elif isinstance(error, TooLarge):
            self.execution.outcome = None
            self.parking.block(Diff(f"the result cannot be recorded: {error}"))
            self.parking.finish()
        else:
            self.refused(error)

    async def _look_into_inbox(self) -> None:
        """A message came while the run was about to close: it is recorded first."""
        try:
            messages = await self.worker.journal.read_messages(self.run_id)
        except JournalError as error:
            self.refused(error)
            return
        self.is_closing = False
        if any(each.n > self.inbox_seen for each in messages):
            self.take_messages(messages)
        elif self.terminated_because is not None:  # that message was it, and is consumed when the run closes
            self._close()
        elif not self.in_flight:  # else it is being recorded already, and the run closes after that
            self.worker.reload(self)

    def attempt_ended(self, key: str) -> None:
        """An attempt executed here is over, whatever came of it."""
        self.running.pop(key, None)
        if self.parking.is_under_way:
            self.parking.finish()

    # waiting

    @property
    def is_idle(self) -> bool:
        """True if there is nothing to do for this run but wait."""
        busy = self.running or self.in_flight or self._unoffered or self.is_beginning or self._postponed
        return not (busy or self.is_closing or self.is_dropped or self.parking.is_under_way or self._is_time())

    def _is_time(self) -> bool:
        """True if an alarm of this run is about to ring."""
        return bool(self.due) and min(self.due.values()) <= self.worker.journal.clock.now()

    def timers(self) -> tuple[Timer, ...]:
        """When the run wants to be woken, as the journal keeps it."""
        return tuple(Timer(key, moment) for key, moment in self.due.items())

    def show(self) -> None:
        """Let others see what the run waits for."""
        self.append(condition=condition_of(self), detail=encode_detail(detail_of(self)), timers=self.timers())
        self.is_shown = True

    def show_unblocked(self) -> None:
        """The journal says that the code does not fit, and it does now."""
        if self.is_shown and not (self.parking.blocked or self.is_dropped or self.is_closing):
            self.show()

    def release(self, **changes: Any) -> None:
        """Give the run back, to be claimed by anyone when its time comes or somebody speaks to it."""
        if self.is_dropped:
            return
        if self.parking.is_pausing and self.parking.blocked is None:
            changes |= self.parking.last_changes()
        elif "condition" not in changes:
            changes |= {"condition": condition_of(self), "detail": encode_detail(detail_of(self))}
            is_over = self.execution.outcome is not None
            if not self.has_begun or is_over or self.in_flight or self._unoffered or self._has_work_to_do():
                changes |= {"condition": Condition.NONE, "detail": b"", "wake_at": 0}
        commit = Commit(run_id=self.run_id, epoch=self.epoch, timers=self.timers(), release=True, **changes)
        self._lane.submit(commit, self.worker.released)
        self.worker.drop(self)  # whoever takes the run up here waits for what is on its way, and so for that, too

    def _has_work_to_do(self) -> bool:
        """True if something is cut off or not begun: whoever takes the run next must do that at once."""
        return any(self._is_to_be_begun(each) for each in self.execution.pending.values())

    def _is_to_be_begun(self, operation: Operation) -> bool:
        if isinstance(operation, ChildOperation):
            return operation.run_id is None or operation.key in self.reviving
        if isinstance(operation, MessageOperation):
            return True
        if not isinstance(operation, StepOperation) or operation.step.run_options.queue is not None:
            return False
        record = self.attempts.get(operation.key)
        return operation.key not in self.due and (record is None or not record.is_parked)
