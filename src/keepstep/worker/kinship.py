"""Kinship: what runs say to other runs, and what becomes of children whose parent ends.

A parent that ends tells each child that has not what is to become of it: to stop, to be ended by force, or nothing. The
same word is said to a child whose parent does not wait for it any more. It is addressed to the child's workflow id,
because a child may have continued as another run; whoever has taken the id meanwhile has another parent, and does not
mind it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from keepstep.journal import JournalError, Message, NewEvent, NewMessage, Status
from keepstep.runtime import history
from keepstep.runtime.child import ABANDON, CANCEL, TERMINATE
from keepstep.runtime.history import pack
from keepstep.runtime.operation import ChildOperation, MessageOperation
from keepstep.runtime.parent_word import ParentWord, word_to_child

if TYPE_CHECKING:
    from .resident import Resident


def stop_waiting_for(resident: Resident, operation: ChildOperation) -> NewMessage:
    """The parent's code has given a child up."""
    word = ParentWord(resident.run_id, CANCEL, "the parent stopped waiting for it")
    return word_to_child(resident.execution.identity.namespace, operation.workflow_id, word)


def last_words(resident: Resident, status: Status) -> list[NewMessage]:
    """What a run that ends says to its children that have not ended."""
    words = []
    for operation in resident.execution.pending.values():
        if not isinstance(operation, ChildOperation) or operation.run_id is None:
            continue
        policy = operation.options.get("if_parent_closes", CANCEL)
        if policy != ABANDON:
            word = ParentWord(resident.run_id, policy, f"its parent is {status}")
            words.append(word_to_child(resident.execution.identity.namespace, operation.workflow_id, word))
    return words


def words_after_termination(
    namespace: str, run_id: str, events: Iterable[tuple[str, str | None, bytes]]
) -> list[NewMessage]:
    """What a run that is ended by force, without its code, has to say to its children, by its history."""
    children: dict[str | None, history.ChildStarted] = {}
    for type_, key, data in events:
        if type_ == history.CHILD_STARTED:
            children[key] = history.unpack(type_, data)
        elif type_ == history.CHILD_CLOSED:
            children.pop(key, None)
    return [
        word_to_child(
            namespace, child.workflow_id, ParentWord(run_id, child.if_parent_closes, "its parent is terminated")
        )
        for child in children.values()
        if child.if_parent_closes != ABANDON
    ]


def hear_parent(resident: Resident, message: Message, events: list[NewEvent]) -> None:
    """A parent has said what is to become of this run."""
    word = msgspec.msgpack.decode(message.data, type=ParentWord)
    if resident.parent is None or resident.parent.run_id != word.parent_run_id:
        return
    if word.policy == TERMINATE:
        resident.terminated_because = word.reason
        resident.terminated_by.append(message.n)
    else:
        events.append(resident.event(history.CANCEL_REQUESTED, None, pack(history.CancelRequested(word.reason))))


async def send_message(resident: Resident, operation: MessageOperation) -> None:
    """Say something to another run, if there is one that is open."""
    namespace = resident.execution.identity.namespace
    try:
        other = await resident.worker.journal.find_run(namespace, operation.workflow_id)
    except JournalError as error:
        resident.refused(error)
        return
    if operation.abandoned or resident.is_dropped or resident.is_closing:
        return
    if other is None or other.status is not Status.RUNNING:
        reason = "missing" if other is None else "closed"
        refused = history.MessageRefused(operation.digest, operation.workflow_id, reason)
        resident.answer(operation, history.MESSAGE_REFUSED, pack(refused))
        return
    sent = history.MessageSent(operation.digest, operation.workflow_id, operation.message_kind, operation.message_name)
    message = NewMessage(
        namespace=namespace,
        workflow_id=operation.workflow_id,
        kind=operation.message_kind,
        name=operation.message_name,
        data=operation.data,
    )
    resident.answer(operation, history.MESSAGE_SENT, pack(sent), send=[message])
