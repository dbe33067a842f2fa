"""What Python workflows write into their histories: the event types and the shapes of their data.

Event data are MessagePack arrays in the field order below; fields are only ever added at the end, with defaults, so
that every version reads every older history. ``payload`` fields hold sealed payloads (``keepstep.journal.payload``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from keepstep.journal import Event, NewEvent, Unreadable, cell_of

WORKFLOW_STARTED: Final = "workflow_started"
RESUMED: Final = "resumed"
FORKED: Final = "forked"
STEP_COMPLETED: Final = "step_completed"
STEP_FAILED: Final = "step_failed"
TIMER_STARTED: Final = "timer_started"
TIMER_FIRED: Final = "timer_fired"
SIGNAL_RECEIVED: Final = "signal_received"
UPDATE_ACCEPTED: Final = "update_accepted"
UPDATE_COMPLETED: Final = "update_completed"
UPDATE_FAILED: Final = "update_failed"
CALLBACK_CREATED: Final = "callback_created"
CALLBACK_COMPLETED: Final = "callback_completed"
CALLBACK_FAILED: Final = "callback_failed"
CHILD_STARTED: Final = "child_started"
CHILD_REFUSED: Final = "child_refused"
CHILD_CLOSED: Final = "child_closed"
VERSION_MARKED: Final = "version_marked"
NOTE_ADDED: Final = "note_added"
STREAM_WRITTEN: Final = "stream_written"
MESSAGE_SENT: Final = "message_sent"
MESSAGE_REFUSED: Final = "message_refused"
CANCEL_REQUESTED: Final = "cancel_requested"
TIMEOUT_REACHED: Final = "timeout_reached"
WORKFLOW_COMPLETED: Final = "workflow_completed"
WORKFLOW_FAILED: Final = "workflow_failed"
WORKFLOW_CANCELLED: Final = "workflow_cancelled"
WORKFLOW_TIMED_OUT: Final = "workflow_timed_out"
WORKFLOW_TERMINATED: Final = "workflow_terminated"
WORKFLOW_CONTINUED: Final = "workflow_continued"
WORKFLOW_REOPENED: Final = "workflow_reopened"

FORMAT: Final = 1
"""Format of histories written by this version; recorded on the run, so that older workers leave newer runs alone."""


class _Data(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all event data."""


class HeardBefore(_Data, frozen=True, array_like=True, gc=False):
    """Signals and updates that a run has had: the digests of their ids, one after the other (``runtime/heard.py``)."""

    run_id: str
    digests: bytes


class WorkflowStarted(_Data, frozen=True, array_like=True, gc=False):
    """The first event of every run."""

    payload: bytes
    """The sealed arguments."""
    seed: bytes
    """16 random bytes: what ``random()``, ``uuid4()`` and callback tokens of this run come from."""
    loop_version: int
    timeout_seconds: float | None = None
    continued_from: str = ""
    parent: str = ""
    """Run id of the parent, if this run is a child."""
    forked_at: int = 0
    """So many events were copied from another run; the next one is ``forked``. 0 for a run of its own."""
    version: str = ""
    """Of the code that was the newest when the run was started."""
    begins_as: str = ""
    """The id under which it goes on when it begins, if its start was debounced."""
    not_after: int = 0
    """Beyond this time later starts do not push it; 0 for no such time."""
    heard: tuple[HeardBefore, ...] = ()
    """What the runs before this one have had, if it continues as new, oldest first."""
    has_own_timeout: bool = False
    """Its timeout was said when it was started; runs as which it continues have the same. Else it is the code's."""


class WorkflowStartedWithHeaders(WorkflowStarted, frozen=True, array_like=True, gc=False):
    """What is written where the start carries headers, and read everywhere."""

    headers: dict[str, str] | None = None


class Resumed(_Data, frozen=True, array_like=True, gc=False):
    """The run goes on some time after the event before it; ``now()`` moves to this event's time."""


class KnownAs(_Data, frozen=True, array_like=True, gc=False):
    """Which run the code was told to be in, in the part of a history that was copied."""

    run_id: str
    workflow_id: str
    queue: str
    started_at: int
    parent_run_id: str | None = None
    continued_from: str | None = None


class Forked(_Data, frozen=True, array_like=True, gc=False):
    """What comes before this was copied; from here on the run goes its own way, with chance and keys of its own."""

    run_id: str
    """Of the run whose history was copied."""
    workflow_id: str
    at: int
    """Seq of the last event that was copied."""
    seed: bytes
    """What ``random()`` and ``uuid4()`` come from, from here on."""
    known_as: KnownAs
    replaced: tuple[str, ...] = ()
    """Keys of the operations whose results were replaced."""


class StepCompleted(_Data, frozen=True, array_like=True, gc=False):
    """A step's result. ``digest`` is over the step's name and arguments."""

    digest: bytes
    payload: bytes
    attempts: int = 1
    resolved_by: str = ""
    """Who said so, where a resolver or a person settled an uncertain step."""
    asked_seq: int = 0
    """Seq of the event during whose delivery the code asked for the step; 0 if an older version did not say."""


class StepFailed(_Data, frozen=True, array_like=True, gc=False):
    """A step's final error: a sealed ``Failure``."""

    digest: bytes
    failure: bytes
    attempts: int = 1
    uncertain: bool = False
    resolved_by: str = ""
    asked_seq: int = 0


class TimerStarted(_Data, frozen=True, array_like=True, gc=False):
    """A durable wait began. ``fire_at`` is engine time in microseconds."""

    delay: int
    fire_at: int


class TimerFired(_Data, frozen=True, array_like=True, gc=False):
    """The wait is over."""


class SignalReceived(_Data, frozen=True, array_like=True, gc=False):
    """A message from outside, delivered in the order of arrival."""

    name: str
    payload: bytes
    message_id: str = ""


class UpdateAccepted(_Data, frozen=True, array_like=True, gc=False):
    """An update whose validator had nothing against it; ``payload`` holds its sealed arguments."""

    name: str
    id: str
    payload: bytes


class UpdateCompleted(_Data, frozen=True, array_like=True, gc=False):
    """What an update's handler returned."""

    id: str
    payload: bytes


class UpdateFailed(_Data, frozen=True, array_like=True, gc=False):
    """An update's handler raised an error: a sealed ``Failure``. ``is_cut_off``: the run ended before it had."""

    id: str
    failure: bytes
    is_cut_off: bool = False


class CallbackCreated(_Data, frozen=True, array_like=True, gc=False):
    """A callback's URL as it was handed out (its base may change later; this one does not)."""

    url: str
    title: str = ""


class CallbackCompleted(_Data, frozen=True, array_like=True, gc=False):
    """What the callback brought."""

    payload: bytes
    by: str = ""
    """Who has answered, where that was said."""


class CallbackFailed(_Data, frozen=True, array_like=True, gc=False):
    """The callback brought an error: a sealed ``Failure``."""

    failure: bytes
    by: str = ""


class ChildStarted(_Data, frozen=True, array_like=True, gc=False):
    """A child run was started in the same commit."""

    digest: bytes
    run_id: str
    workflow_id: str
    if_parent_closes: str = "abandon"
    """What becomes of it should this run end before it does."""


class ChildRefused(_Data, frozen=True, array_like=True, gc=False):
    """The child's workflow id is in use by another run."""

    workflow_id: str


class ChildClosed(_Data, frozen=True, array_like=True, gc=False):
    """A child came to its end: its status, and its result or sealed ``Failure``."""

    status: str
    payload: bytes


class VersionMarked(_Data, frozen=True, array_like=True, gc=False):
    """The code chose a version of itself, for as long as the run lives."""

    name: str
    version: int
    asked_seq: int
    """Seq of the event during whose delivery it was chosen; before that the run has none."""


class NoteAdded(_Data, frozen=True, array_like=True, gc=False):
    """What the code has said to people."""

    text: str
    asked_seq: int
    """Seq of the event during whose delivery it was made."""


class StreamWritten(_Data, frozen=True, array_like=True, gc=False):
    """Values that the code, or a step on its way, has written to a stream (``runtime/stream.py``)."""

    name: str
    payloads: tuple[bytes, ...]
    """Sealed; at most ``stream.BATCH_VALUES_MAX``."""
    asked_seq: int = 0
    """Of what code has written: the seq of the event during whose delivery that was."""
    step: str = ""
    """Of what a step has written: the key of its call."""
    attempt: int = 0
    """And of its attempts, the one that has; from 1."""
    is_end: bool = False
    """The stream is closed after them."""


class MessageSent(_Data, frozen=True, array_like=True, gc=False):
    """Another run was signalled, or asked to stop, in the same commit."""

    digest: bytes
    workflow_id: str
    kind: str = ""
    name: str = ""


class MessageRefused(_Data, frozen=True, array_like=True, gc=False):
    """The other run takes no messages: there is none of that id (``missing``), or it is closed."""

    digest: bytes
    workflow_id: str
    reason: str


class CancelRequested(_Data, frozen=True, array_like=True, gc=False):
    """Somebody asked the run to stop; it may still compensate."""

    reason: str = ""
    message_id: str = ""
    """By which it is known whether it was asked before, also where it has continued as new instead."""


class TimeoutReached(_Data, frozen=True, array_like=True, gc=False):
    """The workflow's own timeout passed; the run is cancelled by it."""


class WorkflowCompleted(_Data, frozen=True, array_like=True, gc=False):
    """The result."""

    payload: bytes


class WorkflowFailed(_Data, frozen=True, array_like=True, gc=False):
    """The error: a sealed ``Failure``. ``failed_seq`` is the failure of a step or a child that led to it, else 0."""

    failure: bytes
    failed_seq: int = 0
    compensated: bool = False
    reactions: tuple[int, ...] = ()
    """Answers to what the code asked for after that failure, some of them only because of it."""
    also_failed: tuple[int, ...] = ()
    """Further failures that led to it, as in a group of errors."""
    seen_seq: int = 0
    """The last event that the code had seen; those between it and this one came too late to matter."""


class WorkflowCancelled(_Data, frozen=True, array_like=True, gc=False):
    """The run was cancelled and has compensated what it had to."""

    reason: str = ""


class WorkflowTimedOut(_Data, frozen=True, array_like=True, gc=False):
    """The run's timeout passed and it has compensated what it had to."""


class WorkflowTerminated(_Data, frozen=True, array_like=True, gc=False):
    """Ended by force; nothing was compensated."""

    reason: str = ""
    restarted_as: str = ""
    """The run that was started in its place by the same commit, if one was."""
    is_told: bool = False
    """Who has ended it is observed, and tells of it; else the worker does that had it."""


class WorkflowContinued(_Data, frozen=True, array_like=True, gc=False):
    """The run goes on as a new run, of the same workflow id unless its start was debounced."""

    run_id: str


class ChildSeen(_Data, frozen=True, array_like=True, gc=False):
    """A child as it was when its parent was reopened."""

    run_id: str
    """Of the run in which it has ended; of one that was about to be stopped, that in which it began."""
    closed_seq: int
    """Seq of the event that closed it; 0 for one that had been told to stop and was at it still."""


class WorkflowReopened(_Data, frozen=True, array_like=True, gc=False):
    """A failed run goes on; the events in ``superseded`` no longer count."""

    superseded: tuple[int, ...]
    by: str = ""
    loose: tuple[int, ...] = ()
    """Events that count only if the code asks for them although the failure has not happened."""
    children: tuple[ChildSeen, ...] = ()
    """Its children that had not completed, as they were then: they are to be done again (``worker/revival.py``)."""


DATA: Final[dict[str, type[_Data]]] = {
    WORKFLOW_STARTED: WorkflowStartedWithHeaders,
    RESUMED: Resumed,
    FORKED: Forked,
    STEP_COMPLETED: StepCompleted,
    STEP_FAILED: StepFailed,
    TIMER_STARTED: TimerStarted,
    TIMER_FIRED: TimerFired,
    SIGNAL_RECEIVED: SignalReceived,
    UPDATE_ACCEPTED: UpdateAccepted,
    UPDATE_COMPLETED: UpdateCompleted,
    UPDATE_FAILED: UpdateFailed,
    CALLBACK_CREATED: CallbackCreated,
    CALLBACK_COMPLETED: CallbackCompleted,
    CALLBACK_FAILED: CallbackFailed,
    CHILD_STARTED: ChildStarted,
    CHILD_REFUSED: ChildRefused,
    CHILD_CLOSED: ChildClosed,
    VERSION_MARKED: VersionMarked,
    NOTE_ADDED: NoteAdded,
    STREAM_WRITTEN: StreamWritten,
    MESSAGE_SENT: MessageSent,
    MESSAGE_REFUSED: MessageRefused,
    CANCEL_REQUESTED: CancelRequested,
    TIMEOUT_REACHED: TimeoutReached,
    WORKFLOW_COMPLETED: WorkflowCompleted,
    WORKFLOW_FAILED: WorkflowFailed,
    WORKFLOW_CANCELLED: WorkflowCancelled,
    WORKFLOW_TIMED_OUT: WorkflowTimedOut,
    WORKFLOW_TERMINATED: WorkflowTerminated,
    WORKFLOW_CONTINUED: WorkflowContinued,
    WORKFLOW_REOPENED: WorkflowReopened,
}

MOMENTS: Final = (RESUMED, FORKED)
"""Events that are not delivered: they say when the turn of the event before them was run."""

CLOSING: Final = frozenset(
    (
        WORKFLOW_COMPLETED,
        WORKFLOW_FAILED,
        WORKFLOW_CANCELLED,
        WORKFLOW_TIMED_OUT,
        WORKFLOW_TERMINATED,
        WORKFLOW_CONTINUED,
    )
)

D = TypeVar("D", bound=_Data)

pack = msgspec.msgpack.Encoder().encode
_decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(shape) for name, shape in DATA.items()
}
EMPTY: Final = pack(TimerFired())


def unpack(type_: str, data: bytes) -> Any:
    """The data of an event of that type. Raises ``KeyError`` for a type that this version does not know, and
    ``Unreadable`` for data that are still sealed."""
    try:
        return _decoders[type_].decode(data)
    except msgspec.DecodeError:
        cell = cell_of(data)
        if cell is None:
            raise
        raise Unreadable(f"the event {type_} is {cell}, which cannot be read here; give the engine its codec") from None


def known_of(type_: str, data: bytes) -> Any:
    """The data of an event, for whoever only shows them; None where they are sealed by what is not here."""
    try:
        return unpack(type_, data)
    except Unreadable:
        return None


def decoder_of(type_: str) -> Callable[[bytes], Any]:
    """What reads the data of events of that type."""
    return _decoders[type_].decode


def recorded(seq: int, new: NewEvent) -> Event:
    """An event as it reads once it is in the history."""
    return Event(seq, new.type, new.time, new.key, new.data)
