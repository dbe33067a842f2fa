"""Execution: one run in memory, between its history and its code.

The worker delivers events, one at a time; each makes something ready, and the loop runs until it is quiet. Replay is
nothing but delivering the recorded events from the first on. What the code has then asked for and history has not
answered is pending; the worker takes new operations up (``take_new``) and lets go of those that the code abandoned
(``take_dropped``).

Invariants

* Nothing in here reads a clock, draws a random number or does I/O. ``now`` is the time of the event being delivered.
* Code sees only what was delivered, and only what is durable is delivered.
* Once ``detach`` was called no code of the run can ask for anything any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import Event, InvalidInput, JournalError, NotFound, RunClosed, Status, unseal
from keepstep.journal.limits import PAYLOAD_BYTES_MAX

from . import history
from .blocked import Contradiction, Diff, asked_differently, never_asked
from .callback import make_token
from .continuing import CONTINUE_AFTER_EVENTS, ContinueAsNew
from .data import are_comparable, decode_failure, digest_suffix, rebuild
from .data.signature import DIGEST_BYTES
from .errors import Cancelled, Evicted, Restless, StepFailed, Terminated, TimedOut, WorkflowFailed
from .fork import Forks
from .guard import Nondeterminism, take_violation, turn_begins, turn_ends
from .handling import HEADERS, UPDATE_ID, Handling, UpdateOutcome, begin
from .heard import SIGNAL, UPDATE, Heard
from .interceptor import NO_INTERCEPTORS, Interceptors
from .loop import DurableTimer, WorkflowFuture, WorkflowLoop
from .marker import Markers
from .note import Notes
from .operation import CallbackOperation, ChildOperation, MessageOperation, Operation, StepOperation, TimerOperation
from .reopening import last_reopening, origins, without_superseded
from .stream import Streams

if TYPE_CHECKING:
    from .saga import Saga
    from .workflow import Workflow

DELAY_TOLERANCE_MICROSECONDS = 1000
"""Two waits that differ by less are the same: delays come from differences of floats."""


EVENTS_BETWEEN_SIGNS = 1000
"""After so many events a replay says that it goes on."""

REFUSALS_MAX = 100
"""So often is code of an evicted run told that it is."""


class Arrived(msgspec.Struct, frozen=True):
    """A signal, and its place in the history."""

    seq: int
    data: history.SignalReceived


class Outcome(msgspec.Struct, frozen=True):
    """How the workflow function ended."""

    status: Status
    value: Any = None
    error: BaseException | None = None


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What ``keepstep.info()`` returns inside a workflow."""

    workflow_id: str
    run_id: str
    type: str
    namespace: str
    queue: str
    started_at: datetime
    parent_run_id: str | None
    continued_from: str | None
    events: int
    """Length of the history so far."""
    should_continue_as_new: bool
    """The history has grown so long that the run had better continue as new."""
    update_id: str | None = None
    """In the handler of an update, the id by which that is known."""
    headers: dict[str, str] = {}
    """What an interceptor gave to its start; see ``docs/interceptors.md``."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which run this is, as the worker knows it."""

    run_id: str
    workflow_id: str
    namespace: str
    type: str
    queue: str
    started_at: int
    parent_run_id: str | None = None
    continued_from: str | None = None
    callback_base: str = ""
    """Base of callback URLs made from now on; recorded ones keep theirs."""


class Execution:
    """See the module's docstring."""

    outcome: Outcome | None = None
    compensating = 0
    compensated = False
    undo_reason = ""
    """Why the last saga began to undo, in one line."""
    cancel_reason: str | None = None
    timed_out = False
    cancels = 0
    """How often the run has been told to stop."""
    status_text: str | None = None
    """Set by ``set_status`` and not yet taken by the worker."""
    own_timeout_seconds: float | None = None
    """That which its start named, if it did."""
    seed = b""
    has_new = False
    """Operations may have been asked for since ``take_new`` was last called."""
    has_dropped = False
    is_addressed = False
    """Something was said to it that carried headers."""
    children_seen: frozenset[history.ChildSeen] | None = None
    """Children that had not completed when it was reopened the last time, if it had failed before."""
    _error_of_handler: BaseException | None = None
    """The first error that the handler of a signal raised: the run fails by it."""
    _seq = 0
    """Of the event being delivered."""
    _random: random.Random | None = None
    _main: asyncio.Task[Any] | None = None
    _detached = False
    _refusals = 0
    _contradiction: Contradiction | None = None
    """Found while code was running, which may have caught the error."""

    def __init__(
        self, workflow: Workflow[Any, Any], identity: Identity, interceptors: Interceptors = NO_INTERCEPTORS
    ) -> None:
        self.workflow = workflow
        self.identity = identity
        self.interceptors = interceptors
        self.around_steps = interceptors.call
        self.headers: Mapping[str, str] = {}
        """Those of its start; nobody changes them."""
        self.value_bytes_max = PAYLOAD_BYTES_MAX
        self.loop = WorkflowLoop(self)  # type: ignore[abstract]
        self.known_as = identity
        """Which run the code is told to be in: another one while what was copied from it is replayed (``fork``)."""
        self.now = self._base = identity.started_at
        self.pending: dict[str, Operation] = {}
        self.open_sagas: dict[Saga, asyncio.Task[Any]] = {}
        """Sagas whose block has been entered and not been left, and who is in it."""
        self._told_to_end: set[asyncio.Task[Any]] = set()
        self.attributes: dict[str, Any] = {}
        self._failures: list[tuple[int, BaseException]] = []
        """The failures of steps and children that code has seen: seq of the event, and the error."""
        self._unseen_failures: list[int] = []
        """Such as came when the code had given the step up, as a group does when another one fails, or had ended."""
        self._answers: list[tuple[int, int]] = []
        """Since the first of them: the seq of each answer, and the seq at which code asked for it."""
        self._loose: set[int] = set()
        """Events that count only if somebody asks for them (``history.WorkflowReopened``)."""
        self.waits: list[tuple[Callable[[], bool], WorkflowFuture]] = []
        self.receivers: dict[str, deque[WorkflowFuture]] = {}
        self.signals: dict[str, deque[Arrived]] = {}
        """Those that nobody has asked for yet, by name."""
        self._abandoned: set[str] = set()
        self.ending: dict[str, StepOperation] = {}
        """Steps with ``on_cancel="wait"`` that the code has cancelled and whose end it waits for, by key."""
        self._cancelled_steps: list[StepOperation] = []
        self._new: list[Operation] = []
        self._dropped: list[Operation] = []
        self.handling = Handling(self)
        self.heard = Heard()
        self.markers = Markers(self)
        self.notes = Notes(self)
        self.streams = Streams(self)
        self._known: dict[str, Event] = {}
        """Recorded facts that code needs before their event is delivered: the URLs of callbacks."""

    # delivering

    def replay(
        self, events: Sequence[Event], *, is_first: bool = False, went_on: Callable[[], None] | None = None
    ) -> None:
        """Deliver a recorded history from the first event on. Raises ``Contradiction``.

        ``is_first``: nobody has run any of the code for this history before. ``went_on`` is called from time to time,
        so that whoever limits the time of a turn knows a long history from code that does not come back.
        """
        self.markers.read(events, is_first=is_first)
        reopening = last_reopening(events)
        self.children_seen = None if reopening is None else frozenset(reopening.children)
        events, self._loose = without_superseded(events)
        self.notes.read(events)
        self.streams.read(events)
        for event in events:
            if event.type == history.CALLBACK_CREATED and event.key is not None:
                self._known[event.key] = event
        forks = Forks(self.identity, events)
        if forks:
            self.known_as = forks.known_as()
            self.loop.number_as(self.known_as.run_id)
            self.now = self._base = self.known_as.started_at
        last = len(events) - 1
        for index, event in enumerate(events):
            if event.type in history.MOMENTS:
                continue
            now = event.time
            while index < last and events[index + 1].type in history.MOMENTS:
                index += 1
                now = events[index].time
                if events[index].type == history.FORKED:
                    self._random = random.Random(forks.pass_one())
                    self.known_as = forks.known_as()
                    if is_first and not forks:
                        self.markers.live_from = event.seq
            self.deliver(event, now)
            if went_on is not None and event.seq % EVENTS_BETWEEN_SIGNS == 0:
                went_on()

    def deliver(self, event: Event, now: int | None = None) -> None:
        """Deliver one event and run until quiet. ``now`` is the turn's time where it is not the event's own."""
        self._seq = event.seq
        self.now = max(self.now, event.time if now is None else now)
        known = _APPLY.get(event.type)
        if known is None:
            summary = f"this version of Keepstep does not know the recorded event type {event.type!r}; upgrade it"
            raise Contradiction(Diff(summary, event.seq, event.type))
        apply, decode = known
        apply(self, event, decode(event.data))
        self._settle()

    def _settle(self) -> None:
        seconds = (self.now - self._base) / 1e6
        turn_begins()
        try:
            self.loop.run_until_quiet(seconds)
            while self.waits and self._meet_waits(seconds):
                pass
            main = self._main
            if main is not None and main.done():
                while self._wind_up(main):
                    self.loop.run_until_quiet(seconds)
        finally:
            turn_ends()
            violation = take_violation()
        if violation is not None:
            raise violation
        if self._contradiction is not None:
            raise self._contradiction
        if main is not None and main.done():
            has_ended = not self.open_sagas and not self.handling.at_work
            self.outcome = (self.outcome or self._ended(main)) if has_ended else None
        if self.loop.errors:
            self._raise_loop_errors()

    def _wind_up(self, main: asyncio.Task[Any]) -> bool:
        """The function has ended: tell what it has left behind to end too. True if something was told just now.

        Handlers come to their own end, unless the run has failed or was cancelled. After them the tasks that are in a
        saga are cancelled, and undo what they did: what was charged would stay charged, and nobody would know.
        """
        if self.handling.at_work:
            return self.is_failing and self.handling.cut_off()
        left = [task for task in dict.fromkeys(self.open_sagas.values()) if task not in self._told_to_end]
        self._told_to_end.update(left)
        with self.loop._entered():
            for task in left:
                task.cancel()
        return bool(left)

    @property
    def has_returned(self) -> bool:
        """The function has ended, however; handlers may be at work still."""
        return self._main is not None and self._main.done()

    @property
    def is_failing(self) -> bool:
        """The function has ended, and not by returning."""
        main = self._main
        if main is None or not main.done():
            return False
        if self._error_of_handler is not None or main.cancelled():
            return True
        return main.exception() is not None and not self.is_continuing

    @property
    def is_continuing(self) -> bool:
        """The function has ended by continuing as new: what comes from now on goes over to the new run."""
        main = self._main
        if main is None or not main.done() or main.cancelled():
            return False
        return isinstance(main.exception(), ContinueAsNew)

    @property
    def main(self) -> asyncio.Task[Any] | None:
        """The task of the run's own function."""
        return self._main

    def unread_signals(self) -> list[history.SignalReceived]:
        """Signals that were neither handled nor received, in order of arrival."""
        kept = [each for waiting in self.signals.values() for each in waiting]
        return [each.data for each in sorted(kept, key=lambda each: each.seq)]

    def fail(self, error: BaseException) -> None:
        """The handler of a signal has raised an error: the run is cancelled by it, undoes what it did, and fails."""
        if isinstance(error, Contradiction | Nondeterminism):
            self.loop.errors.append(error)
        elif self._error_of_handler is None:
            self._error_of_handler = error
            self._cancel_main()

    @property
    def error_of_handler(self) -> BaseException | None:
        return self._error_of_handler

    def refuse_while_answering(self, what: str) -> None:
        """Raise ``InvalidInput`` while a query or a validator is asked, which must change nothing."""
        if self.handling.is_answering:
            raise InvalidInput(f"a query or a validator only looks at the run, and must not use {what}")

    def _raise_loop_errors(self) -> None:
        errors, self.loop.errors = self.loop.errors, []
        for error in errors:
            if isinstance(error, Contradiction | Nondeterminism):
                raise error

    def _meet_waits(self, seconds: float) -> bool:
        """Wake every ``wait_for`` whose predicate holds, one after the other; True if any did.

        Each goes on before the next one is asked, so that of two who wait for one thing only one gets it.
        """
        met = False
        for wait in list(self.waits):
            predicate, future = wait
            if future.done() or self._is_met(predicate, future):
                self.waits.remove(wait)
                self.loop.run_until_quiet(seconds)
                met = True
        return met

    def _is_met(self, predicate: Callable[[], bool], future: WorkflowFuture) -> bool:
        """Ask a predicate; what it raises goes to who waits for it."""
        with self.loop._entered():
            try:
                if not predicate():
                    return False
                future.set_result(None)
            except (Restless, SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                future.set_exception(error)
        return True

    def _ended(self, main: asyncio.Task[Any]) -> Outcome:
        if self._error_of_handler is not None:
            return Outcome(Status.FAILED, error=self._error_of_handler)
        if main.cancelled():
            status = Status.TIMED_OUT if self.timed_out else Status.CANCELLED
            return Outcome(status)
        error = main.exception()
        if error is None:
            return Outcome(Status.COMPLETED, main.result())
        if isinstance(error, ContinueAsNew):
            return Outcome(Status.CONTINUED, error.arguments)
        if isinstance(error, Contradiction | Nondeterminism):
            raise error
        return Outcome(Status.FAILED, error=error)

    def failed_before(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The failures of steps and children that the run's comes from, and the events that may have come of them."""
        error = None if self.outcome is None else self.outcome.error
        failed = () if error is None else origins(error, self._failures)
        if not failed:
            return (), ()
        unseen = [seq for seq in self._unseen_failures if seq > failed[0] and seq not in failed]
        return (*failed, *unseen), tuple(seq for seq, asked in self._answers if asked >= failed[0])

    @property
    def seen_seq(self) -> int:
        """The last event delivered."""
        return self._seq

    @property
    def is_quiet(self) -> bool:
        """True in a turn that an earlier owner may have run before, and in code that was cut off from its run.

        A query is asked now, and not replayed.
        """
        return self._detached or (self._seq < self.markers.live_from and not self.handling.is_answering)

    # what the worker takes

    def take_new(self) -> Sequence[Operation]:
        """Operations asked for since the last call and still wanted, in the order asked."""
        asked, self._new, self.has_new = self._new, [], False
        return [each for each in asked if not each.abandoned and self.pending.get(each.key) is each]

    def take_dropped(self) -> Sequence[Operation]:
        """Operations that the code stopped wanting since the last call."""
        dropped, self._dropped, self.has_dropped = self._dropped, [], False
        return dropped

    def detach(self) -> None:
        """Cut the code off from the journal, then unwind it. A user's ``finally`` has no durable effect."""
        self._detached = True
        self.loop.unwind()
        self.open_sagas.clear()
        for operation in self.pending.values():
            operation.settle()
        self.pending.clear()
        self.ending.clear()
        self._failures.clear()

    def take_apart(self) -> None:
        """It is detached, and nobody asks it anything any more: its parts let go of it.

        So it is freed at once. Left to the collector of cycles, short runs cost a third more.
        """
        del self.loop.execution, self.handling.execution, self.markers.execution, self.notes.execution
        del self.streams.execution

    # what durable calls use

    def add(self, operation: Operation) -> None:
        """Register an operation that code has just asked for."""
        if self._detached:
            self.tell_evicted()
            return
        if operation.key in self.pending:
            raise InvalidInput(f"two operations have the key {operation.key!r}; give one of them another name or key=")
        self._abandoned.discard(operation.key)
        operation.asked_seq, operation.asked_at = self._seq, self.now
        self.pending[operation.key] = operation
        self._new.append(operation)
        self.has_new = True

    def tell_evicted(self) -> None:
        """Raise ``Evicted``: nothing that the code asks for has any effect any more.

        Code that catches that and asks again would do so for ever; after a while it is not told, and waits in vain.
        """
        if self._refusals < REFUSALS_MAX:
            self._refusals += 1
            raise Evicted

    def abandon(self, operation: Operation) -> None:
        """The code does not want the answer any more."""
        if self.pending.get(operation.key) is operation:
            del self.pending[operation.key]
            operation.settle()
            operation.abandoned = True
            self._abandoned.add(operation.key)
            self._dropped.append(operation)
            self.has_dropped = True

    def have_it_end(self, operation: Operation) -> bool:
        """The code cancels what waits for an operation. True if that is cancelled only when the operation has ended.

        One that was asked for in this very turn has not been begun, and ends at once.
        """
        is_patient = isinstance(operation, StepOperation) and operation.step.run_options.on_cancel == "wait"
        if not is_patient or self.pending.get(operation.key) is not operation or self._detached:
            return False
        if operation.key not in self.ending:
            if operation.asked_seq == self._seq:
                return False
            assert isinstance(operation, StepOperation)
            self.ending[operation.key] = operation
            self._cancelled_steps.append(operation)
        return True

    def take_cancelled(self) -> Sequence[StepOperation]:
        """Steps that the code has cancelled since the last call, and whose end it waits for."""
        told, self._cancelled_steps = self._cancelled_steps, []
        return [each for each in told if self.pending.get(each.key) is each]

    def begin_timer(self, delay_seconds: float, handle: DurableTimer) -> TimerOperation:
        """A durable wait of that length. Called by the loop's ``call_at``."""
        key = self.loop.current_scope().key("timer")
        operation = TimerOperation(self, key, round(delay_seconds * 1e6), handle)
        self.add(operation)
        return operation

    def begin_callback(self, name: str, person: bytes | None = None) -> CallbackOperation:
        """A token that somebody outside completes."""
        key = self.loop.current_scope().key(name)
        token = make_token(self.identity.run_id, key, self.seed)
        url = f"{self.identity.callback_base}/callbacks/{token}" if self.identity.callback_base else ""
        known = self._known.pop(key, None)
        told_url = url if known is None else history.unpack(known.type, known.data).url
        if self.known_as is self.identity:
            operation = CallbackOperation(self, key, token, told_url, person)
        else:
            operation = CallbackOperation(self, key, token, url, person)
            operation.told = make_token(self.known_as.run_id, key, self.seed), told_url
        self.add(operation)
        return operation

    def choose_version(self, name: str, newest: int, oldest: int, *, records: bool = True) -> int:
        """The version of a piece of code that the run has; see ``marker``."""
        try:
            return self.markers.choose(name, newest, oldest, records=records)
        except Contradiction as error:
            self._contradiction = error
            raise

    def random(self) -> random.Random:
        """The run's own generator, seeded by the run."""
        if self._random is None:
            self._random = random.Random(self.seed)
        return self._random

    def headers_here(self) -> Mapping[str, str]:
        """The run's headers; in a handler, also those that it was called with."""
        return HEADERS.get() or self.headers

    def info(self) -> RunInfo:
        identity = self.known_as
        return RunInfo(
            workflow_id=identity.workflow_id,
            run_id=identity.run_id,
            type=identity.type,
            namespace=identity.namespace,
            queue=identity.queue,
            started_at=datetime.fromtimestamp(identity.started_at / 1e6, UTC),
            parent_run_id=identity.parent_run_id,
            continued_from=identity.continued_from,
            events=self._seq,
            should_continue_as_new=self._seq >= CONTINUE_AFTER_EVENTS,
            update_id=UPDATE_ID.get(),
            headers=dict(self.headers_here()),
        )

    # one apply_<event> per event

    def _asked(self, event: Event, kind: str, *, answers: bool = True) -> Any:
        """The pending operation that the event belongs to, or None if the code has abandoned it."""
        key = event.key or ""
        operation = self.pending.get(key)
        if operation is None:
            if key in self._abandoned or event.seq in self._loose:
                return None
            raise never_asked(event, "", self.pending.values())
        if operation.kind != kind:
            why = f"history has a {kind} at {key!r}, the code asks for a {operation.name}"
            raise asked_differently(event, kind, operation, why)
        if self._failures:
            self._answers.append((event.seq, operation.asked_seq))
        if answers:
            del self.pending[key]
            operation.settle()
        return operation

    def _check_digest(self, event: Event, operation: Operation, digest: bytes) -> None:
        if operation.digest != digest and are_comparable(digest, operation.digest, DIGEST_BYTES):
            why = f"{operation.name} at {operation.key!r} was recorded with other arguments than the code passes now"
            raise asked_differently(event, "other arguments", operation, why)

    def _apply_workflow_started(self, event: Event, data: history.WorkflowStartedWithHeaders) -> None:
        self.seed = data.seed
        self.own_timeout_seconds = data.timeout_seconds if data.has_own_timeout else None
        self.heard.begin(data.heard)
        if data.headers:
            self.headers = data.headers
        args, kwargs = self.workflow.signature.decode_args(data.payload)
        with self.loop._entered():
            self._main = self.loop.task(begin(self, args, kwargs), self.loop.root, "main", Context())

    def _apply_step_completed(self, event: Event, data: history.StepCompleted) -> None:
        operation: StepOperation | None = self._asked(event, "step")
        if operation is None:
            return
        self._check_digest(event, operation, data.digest)
        try:
            value = operation.step.signature.decode_result(data.payload)
        except InvalidInput as error:
            why = f"the recorded result of {operation.name} does not fit its declared type: {error}"
            raise asked_differently(event, "result", operation, why) from error
        if self.ending and self.ending.pop(operation.key, None) is not None:
            operation.late = ("succeeded", value)
            operation.future.cancel()
            return
        operation.future.set_result(value)

    def _apply_step_failed(self, event: Event, data: history.StepFailed) -> None:
        operation: StepOperation | None = self._asked(event, "step")
        if operation is None:
            self._unseen_failures.append(event.seq)
            return
        self._check_digest(event, operation, data.digest)
        failure = decode_failure(data.failure)
        error = StepFailed(operation.step.name, data.attempts, failure.summary(), uncertain=data.uncertain)
        error.__cause__ = rebuild(failure)
        if self.ending and self.ending.pop(operation.key, None) is not None:
            self._unseen_failures.append(event.seq)
            operation.late = ("uncertain" if data.uncertain else "failed", error)
            operation.future.cancel()
            return
        self._note_failure(event, error)
        operation.future.set_exception(error)

    def _note_failure(self, event: Event, error: BaseException) -> None:
        """One that comes when the function has ended is in nobody's way but a retry's, as is one that nobody sees."""
        self._failures.append((event.seq, error))
        if self.has_returned:
            self._unseen_failures.append(event.seq)

    def _apply_timer_started(self, event: Event, data: history.TimerStarted) -> None:
        operation: TimerOperation | None = self._asked(event, "timer", answers=False)
        if operation is None:
            return
        if abs(operation.delay - data.delay) > DELAY_TOLERANCE_MICROSECONDS:
            why = f"history has a wait of {data.delay / 1e6:g} s, the code asks for one of {operation.delay / 1e6:g} s"
            raise asked_differently(event, "timer", operation, why)
        operation.fire_at = data.fire_at

    def _apply_timer_fired(self, event: Event, _: history.TimerFired) -> None:
        operation: TimerOperation | None = self._asked(event, "timer")
        if operation is not None:
            self.loop.fire(operation.handle)

    def _apply_signal_received(self, event: Event, data: history.SignalReceived) -> None:
        if data.message_id:
            self.heard.note(SIGNAL, data.message_id)
        if self.handling.takes_signal(data.name) and not self.is_failing and not self.is_continuing:
            self.handling.handle_signal(data)
            return
        arrived = Arrived(event.seq, data)
        waiting = self.receivers.get(data.name)
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(arrived)
                return
        self.signals.setdefault(data.name, deque()).append(arrived)

    def _apply_update_accepted(self, event: Event, data: history.UpdateAccepted) -> None:
        self.heard.note(UPDATE, data.id)
        self.handling.accept(event, data)

    def _apply_update_completed(self, event: Event, data: history.UpdateCompleted) -> None:
        self.handling.record_outcome(event, data.id, UpdateOutcome(True, data.payload))

    def _apply_update_failed(self, event: Event, data: history.UpdateFailed) -> None:
        self.handling.record_outcome(event, data.id, UpdateOutcome(False, data.failure, data.is_cut_off))

    def _apply_callback_created(self, event: Event, _: history.CallbackCreated) -> None:
        operation: CallbackOperation | None = self._asked(event, "callback", answers=False)
        if operation is not None:
            operation.is_recorded = True

    def _apply_callback_completed(self, event: Event, data: history.CallbackCompleted) -> None:
        operation: CallbackOperation | None = self._asked(event, "callback")
        if operation is not None:
            operation.future.set_result(data.payload)

    def _apply_callback_failed(self, event: Event, data: history.CallbackFailed) -> None:
        operation: CallbackOperation | None = self._asked(event, "callback")
        if operation is not None:
            operation.future.set_exception(rebuild(decode_failure(data.failure)))

    def _apply_child_started(self, event: Event, data: history.ChildStarted) -> None:
        operation: ChildOperation | None = self._asked(event, "child", answers=False)
        if operation is None:
            return
        self._check_digest(event, operation, data.digest)
        operation.run_id = data.run_id
        operation.workflow_id = data.workflow_id
        if not operation.started.done():
            operation.started.set_result(data.run_id)

    def _apply_child_refused(self, event: Event, data: history.ChildRefused) -> None:
        operation: ChildOperation | None = self._asked(event, "child")
        if operation is not None:
            reason = f"its workflow id {data.workflow_id!r} is in use by another open run"
            self._fail_child(event, operation, WorkflowFailed(operation.workflow.name, "not started", reason))

    def _apply_child_closed(self, event: Event, data: history.ChildClosed) -> None:
        operation: ChildOperation | None = self._asked(event, "child")
        if operation is None:
            if data.status != Status.COMPLETED:
                self._unseen_failures.append(event.seq)
            return
        if data.status == Status.COMPLETED:
            operation.future.set_result(operation.workflow.signature.decode_result(data.payload))
            return
        error = closing_error(data.status, data.payload, operation.workflow.name, operation.run_id)
        self._fail_child(event, operation, error)

    def _fail_child(self, event: Event, operation: ChildOperation, error: BaseException) -> None:
        self._note_failure(event, error)
        if not operation.started.done():
            operation.started.set_exception(error)
            operation.started.exception()
        operation.future.set_exception(error)
        operation.future.exception()

    def _apply_version_marked(self, event: Event, data: history.VersionMarked) -> None:
        self._asked(event, "version")
        self.markers.confirm(data)

    def _apply_message_sent(self, event: Event, data: history.MessageSent) -> None:
        operation: MessageOperation | None = self._asked(event, "message")
        if operation is not None:
            self._check_digest(event, operation, data.digest)
            operation.future.set_result(None)

    def _apply_message_refused(self, event: Event, data: history.MessageRefused) -> None:
        operation: MessageOperation | None = self._asked(event, "message")
        if operation is None:
            return
        self._check_digest(event, operation, data.digest)
        if data.reason == "missing":
            error: JournalError = NotFound(f"there is no run {data.workflow_id!r} to speak to")
        else:
            error = RunClosed(f"run {data.workflow_id!r} is closed; it takes no messages any more")
        operation.future.set_exception(error)

    def _apply_cancel_requested(self, _: Event, data: history.CancelRequested) -> None:
        """A run is cancelled once: repeating the request, as an impatient caller does, must not cut cleaning up off."""
        if self.cancel_reason is None and not self.timed_out:
            self.cancel_reason = data.reason
            self._cancel_main()

    def _apply_timeout_reached(self, _: Event, __: history.TimeoutReached) -> None:
        """The timeout also ends the cleaning up of a run that was cancelled before, except its compensation."""
        self.timed_out = self.cancel_reason is None
        self._cancel_main()

    def _cancel_main(self) -> None:
        if self._main is not None and not self._main.done():
            self.cancels += 1
            with self.loop._entered():
                self._main.cancel()

    def _apply_nothing(self, _: Event, __: object) -> None:
        """Closing events, and those that ``replay`` has looked at before."""


_APPLY: dict[str, tuple[Callable[[Execution, Event, Any], None], Callable[[bytes], Any]]] = {
    name: (getattr(Execution, f"_apply_{name}", Execution._apply_nothing), history.decoder_of(name))
    for name in history.DATA
}


def closing_error(status: str, payload: bytes, workflow: str, run_id: str | None, reason: str = "") -> BaseException:
    """The error that stands for a run that did not complete; ``reason`` is what was said when it was ended."""
    run = run_id or "?"
    because = f": {reason}" if reason else ""
    if status == Status.FAILED:
        failure = decode_failure(payload)
        error = WorkflowFailed(workflow, run, failure.summary())
        error.__cause__ = rebuild(failure)
        return error
    if status == Status.CANCELLED:
        return Cancelled(f"workflow {workflow!r} (run {run}) was cancelled{because}")
    if status == Status.TIMED_OUT:
        return TimedOut(f"workflow {workflow!r} (run {run}) reached its timeout")
    return Terminated(workflow, run, f"it was terminated{because}")


def digest_of(name: str, arguments: bytes) -> bytes:
    """8 bytes that change when an operation's name or arguments change, and behind them the versions in these."""
    content, suffix = arguments, b""
    if arguments[:1] < b" ":
        payload = unseal(arguments)
        content, suffix = payload.content, digest_suffix(payload)
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES, key=name.encode()[:64]).digest() + suffix
