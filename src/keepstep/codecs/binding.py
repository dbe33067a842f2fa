"""Binding: the place that a cell is made for. It is authenticated with the cell, so that no cell passes in another one.

The words of a binding are kept beside the cell by the journal in columns of their own, and never change: a journal that
is moved to another store takes its cells along. What goes on as another run (a fork, a continuation, what was said to
a run that is replaced) is read and written again by its language, and is bound anew by that.

A message is bound to what it was addressed to, a run or a workflow id, because its sender may not know more. Digests of
inputs are bound to the workflow id, whose newest run may be another one by the time they are compared.
"""

from __future__ import annotations

import msgspec

from keepstep.journal import Ask, Event, Message, NewEvent, NewMessage, NewTask, StateChange, Task
from keepstep.journal.kept import Kept, KeptIn

Binding = tuple[str | int, ...]

encode_binding = msgspec.msgpack.Encoder().encode


def of_event(run_id: str, event: Event | NewEvent) -> Binding:
    return "event", run_id, event.type, event.key or "", event.time


def of_message_to_run(run_id: str, message: Message | NewMessage) -> Binding:
    return "message", "run", run_id, message.kind, message.name, message.id or ""


def of_message_to_workflow(namespace: str, workflow_id: str, message: Message | NewMessage) -> Binding:
    return "message", "workflow", namespace, workflow_id, message.kind, message.name, message.id or ""


def of_state(run_id: str, change: StateChange) -> Binding:
    return of_state_key(run_id, change.kind, change.key)


def of_state_key(run_id: str, kind: str, key: str) -> Binding:
    return "state", run_id, kind, key


def of_task(run_id: str, task: Task | NewTask) -> Binding:
    return "task", run_id, task.kind, task.key


def of_detail(run_id: str) -> Binding:
    """Of what a run waits for."""
    return "detail", run_id


def of_input(namespace: str, workflow_id: str) -> Binding:
    """Of the digest of a run's input."""
    return "input", namespace, workflow_id


def is_of_input(binding: Binding) -> bool:
    """Whether it is that of such a digest."""
    return binding[0] == "input"


def of_ask(ask: Ask) -> Binding:
    return of_question(ask.run_id, ask.kind, ask.name)


def of_question(run_id: str, kind: str, name: str) -> Binding:
    return "ask", run_id, kind, name


def of_answer(run_id: str, kind: str, name: str) -> Binding:
    """Of the answer to a question; that it answers this one and no other of that name is not said."""
    return "answer", run_id, kind, name


def of_kept(where: KeptIn, kept: Kept) -> tuple[Binding, ...]:
    """What a piece of a journal's data may be bound to, wherever it is; the first is what it is bound to anew."""
    run_id, named = kept.run_id, (kept.namespace, kept.workflow_id)
    if where is KeptIn.EVENTS:
        return (("event", run_id, kept.kind, kept.key, kept.time),)
    if where is KeptIn.MESSAGES:
        said = kept.kind, kept.key, kept.id
        return ("message", "run", run_id, *said), ("message", "workflow", *named, *said)
    if where is KeptIn.DETAILS:
        return (of_detail(run_id),)
    if where is KeptIn.INPUTS:
        return (of_input(*named),)
    return ((where.removesuffix("s"), run_id, kept.kind, kept.key),)
