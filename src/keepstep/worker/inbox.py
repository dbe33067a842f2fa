"""Inbox: how each kind of message to a Python workflow becomes an event of its history.

A message whose time has passed (a second completion of a callback, the answer of a task that was given up) is consumed
and leaves no event.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from keepstep.journal import InvalidInput, Message, NewEvent, StateChange
from keepstep.runtime import history
from keepstep.runtime.callback import parse_token
from keepstep.runtime.heard import SIGNAL
from keepstep.runtime.history import pack
from keepstep.runtime.operation import CallbackOperation, ChildOperation, StepOperation
from keepstep.runtime.parent_word import PARENT_WORD

from .attempt import AttemptRecord
from .kinship import hear_parent
from .pause import PAUSE, RESUME
from .reply import UPDATE
from .revival import hears_of_stopped
from .updating import take_update

if TYPE_CHECKING:
    from .resident import Resident

STREAM = "stream"
"""Kind of the messages by which a step on a queue writes to streams; their name is its key."""

logger = logging.getLogger("keepstep.worker")


CALLBACK_ANSWER = "callback_answer"
"""Kind of the messages by which somebody answers a callback whose name is to be recorded: a ``StepAnswer``."""


class StepAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a step's remote executor, a resolver or a person says about a step, or a person about a callback."""

    ok: bool
    payload: bytes
    """The sealed result, or the sealed ``Failure``."""
    attempts: int = 1
    is_uncertain: bool = False
    by: str = ""


def answer(resident: Resident, message: Message, events: list[NewEvent], state: list[StateChange]) -> None:
    """Turn a message into what is to be committed. Raises ``InvalidInput`` for a kind that is not known."""
    handle = _HANDLERS.get(message.kind)
    if handle is None:
        raise InvalidInput(f"this version of Keepstep does not know messages of kind {message.kind!r}; upgrade it")
    handle(resident, message, events, state)


def _signal(resident: Resident, message: Message, events: list[NewEvent], _: list[StateChange]) -> None:
    if message.id is not None and resident.execution.heard.before(SIGNAL, message.id):
        return  # a repetition: a run that this one continues has had it
    data = pack(history.SignalReceived(message.name, message.data, message.id or ""))
    events.append(resident.event(history.SIGNAL_RECEIVED, None, data))


def _cancel(resident: Resident, message: Message, events: list[NewEvent], _: list[StateChange]) -> None:
    data = pack(history.CancelRequested(message.data.decode(), message.id or ""))
    events.append(resident.event(history.CANCEL_REQUESTED, None, data))


def _callback(resident: Resident, message: Message, events: list[NewEvent], state: list[StateChange]) -> None:
    operation = resident.execution.pending.get(_key_of(message))
    if not isinstance(operation, CallbackOperation) or operation.token != message.name:
        return
    said = _said_of_callback(message)
    if said.ok:
        data = pack(history.CallbackCompleted(said.payload, said.by))
        _once(resident, operation.key, history.CALLBACK_COMPLETED, data, events)
    else:
        data = pack(history.CallbackFailed(said.payload, said.by))
        _once(resident, operation.key, history.CALLBACK_FAILED, data, events)
    state.extend(resident.forget_state(operation.key))


def _said_of_callback(message: Message) -> StepAnswer:
    if message.kind == CALLBACK_ANSWER:
        return msgspec.msgpack.decode(message.data, type=StepAnswer)
    return StepAnswer(message.kind == "callback", message.data)


def _key_of(message: Message) -> str:
    return parse_token(message.name)[1]


def _once(resident: Resident, key: str, type_: str, data: bytes, events: list[NewEvent]) -> None:
    if key not in resident.answered:
        resident.answered.add(key)
        events.append(resident.event(type_, key, data))


def _child_closed(resident: Resident, message: Message, events: list[NewEvent], _: list[StateChange]) -> None:
    operation = resident.execution.pending.get(message.name)
    if not isinstance(operation, ChildOperation):
        return
    status = history.unpack(history.CHILD_CLOSED, message.data).status
    if not hears_of_stopped(resident, operation, status):
        _once(resident, message.name, history.CHILD_CLOSED, message.data, events)


def _start_refused(resident: Resident, message: Message, events: list[NewEvent], _: list[StateChange]) -> None:
    operation = resident.execution.pending.get(message.name)
    if isinstance(operation, ChildOperation):
        data = pack(history.ChildRefused(operation.workflow_id))
        _once(resident, operation.key, history.CHILD_REFUSED, data, events)


def _step_answer(resident: Resident, message: Message, events: list[NewEvent], state: list[StateChange]) -> None:
    operation = resident.execution.pending.get(message.name)
    if not isinstance(operation, StepOperation):
        return
    said = msgspec.msgpack.decode(message.data, type=StepAnswer)
    if message.kind == "resolve" and not resident.attempts.get(operation.key, AttemptRecord()).is_parked:
        return
    if not said.ok and operation.is_undo:  # it stays to be done, whoever says so
        record = AttemptRecord(said.attempts, failure=said.payload, is_uncertain=said.is_uncertain, is_parked=True)
        resident.remember_attempt(operation.key, record)
        return
    if message.kind == "resolve" and said.ok and not _could_be_returned(operation, said.payload):
        return
    if said.ok:
        data = pack(history.StepCompleted(operation.digest, said.payload, said.attempts, said.by, operation.asked_seq))
        _once(resident, operation.key, history.STEP_COMPLETED, data, events)
    else:
        failed = history.StepFailed(
            operation.digest, said.payload, said.attempts, said.is_uncertain, said.by, operation.asked_seq
        )
        _once(resident, operation.key, history.STEP_FAILED, pack(failed), events)
    state.extend(resident.forget_state(operation.key))


def _could_be_returned(operation: StepOperation, payload: bytes) -> bool:
    """Clients check what a person says as far as they can; recorded, what does not fit would block the run."""
    try:
        operation.step.signature.decode_result(payload)
    except InvalidInput as error:
        logger.warning(
            "step %s stays uncertain: what it was said to have returned does not fit: %s", operation.key, error
        )
        return False
    return True


def _retry(resident: Resident, _: Message, __: list[NewEvent], state: list[StateChange]) -> None:
    """An operator wants what is parked to be tried again."""
    for operation in list(resident.execution.pending.values()):
        if not isinstance(operation, StepOperation):
            continue
        record = resident.attempts.get(operation.key)
        if record is not None and record.is_parked and not record.once_begun:
            state.extend(resident.forget_state(operation.key))
            resident.worker.steps.begin_again(resident, operation)


def _update(resident: Resident, message: Message, events: list[NewEvent], _: list[StateChange]) -> None:
    take_update(resident, message, events)


def _stream(resident: Resident, message: Message, events: list[NewEvent], _: list[StateChange]) -> None:
    """A step on a queue has written to streams. It was told that this is durable, and so it is recorded in any case.

    It had the task when it said so: the code may have let go of the step meanwhile, but nobody has followed it.
    """
    events.extend(words_in(message, resident.worker.journal.clock.now()))


def words_in(message: Message, now: int) -> list[NewEvent]:
    """The events that record what a step on a queue has written. Raises ``msgspec.DecodeError``."""
    said = msgspec.msgpack.decode(message.data, type=tuple[history.StreamWritten, ...])
    return [NewEvent(history.STREAM_WRITTEN, now, None, pack(each)) for each in said]


def told_of(events: Sequence[NewEvent]) -> dict[str, bool]:
    """What a commit of these events says of them: whether some belong to streams, and whether others do not."""
    spoken = [each.type == history.STREAM_WRITTEN for each in events]
    return {"is_spoken": True, "is_progress": not all(spoken)} if any(spoken) else {}


def _parent(resident: Resident, message: Message, events: list[NewEvent], _: list[StateChange]) -> None:
    hear_parent(resident, message, events)


def _pause(resident: Resident, _: Message, __: list[NewEvent], ___: list[StateChange]) -> None:
    resident.parking.pause()


def _resume(resident: Resident, _: Message, __: list[NewEvent], ___: list[StateChange]) -> None:
    resident.parking.resume()


_HANDLERS: dict[str, Callable[[Resident, Message, list[NewEvent], list[StateChange]], None]] = {
    "signal": _signal,
    UPDATE: _update,
    "cancel": _cancel,
    "callback": _callback,
    "callback_failed": _callback,
    CALLBACK_ANSWER: _callback,
    "child_closed": _child_closed,
    "start_refused": _start_refused,
    "step_result": _step_answer,
    "resolve": _step_answer,
    "retry": _retry,
    STREAM: _stream,
    PARENT_WORD: _parent,
    PAUSE: _pause,
    RESUME: _resume,
}
