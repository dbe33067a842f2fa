"""Starting runs, from outside and from within commits; and sending messages to them."""

from __future__ import annotations

import msgspec

from keepstep.journal.commit import NewRun, Started
from keepstep.journal.errors import AlreadyStarted, Conflict, NotFound, RunClosed
from keepstep.journal.message import NewMessage, Sent
from keepstep.journal.queue import Ticket
from keepstep.journal.run import IfRunning

from . import attribute
from .codes import RUNNING, STATUSES, json_text
from .head import Head
from .picture import Picture, Wants
from .queueing import put_ticket, ticket_before
from .task import add_tasks


def want_start(wants: Wants, new: NewRun) -> None:
    wants.workflows.add((new.namespace, new.workflow_id))
    wants.run_ids.add(new.run_id)
    wants.starts += 1
    wants.queues.add(new.queue if new.ticket is None else new.ticket.queue)
    wants.arrivals += len(new.messages)


def want_send(wants: Wants, message: NewMessage) -> None:
    wants.message(message)


def start(picture: Picture, new: NewRun) -> Started:
    """Start a run or attach to the newest one of its workflow id."""
    there = picture.newest(new.namespace, new.workflow_id)
    if there is None:
        return _create_if_free(picture, new)
    rule = new.if_running if there.is_open() else new.if_closed
    if rule is IfRunning.REJECT:
        raise AlreadyStarted(
            f"{new.workflow_id!r} exists (run {there.run_id}, {STATUSES[there.status].value}); "
            "choose another id, or allow to attach to it"
        )
    if rule is IfRunning.ATTACH:
        return _attach(picture, there, new)
    if there.is_open():
        raise Conflict(f"{new.workflow_id!r} is open (run {there.run_id}); close it before it is restarted")
    return _create_if_free(picture, new)


def _create_if_free(picture: Picture, new: NewRun) -> Started:
    if picture.find(new.run_id) is not None:
        raise Conflict(f"run id {new.run_id} is taken; make a new one for every start")
    attribute.check_new_run(picture, new)
    return _create(picture, new)


def _attach(picture: Picture, head: Head, new: NewRun) -> Started:
    for message in new.messages:
        _check_open(head, message)
    picture.check_inbox(head, len(new.messages))
    for message in new.messages:
        picture.deliver(head, message)
    return _started(picture, head, created=False)


def _create(picture: Picture, new: NewRun, *, takes_slot: bool = False) -> Started:
    """Draw a new run, whose run id is free and whose workflow id has no open run.

    ``takes_slot``: it goes on in the slot of the run that it continues.
    """
    ticket = _ticket_of(picture, new)
    has_to_wait = ticket is not None and not takes_slot
    lease = None if new.lease_id is None or has_to_wait else picture.lease(new.lease_id)
    epoch, events = 0 if lease is None else 1, len(new.events)
    run = picture.tables.next_run(new.namespace, new.workflow_id)
    named = (run, new.run_id, new.namespace, new.workflow_id)
    head = Head((*named, RUNNING, 0, lease, epoch, None, events, 0, 0, 0, None, 0, None, 0, False))
    parent = (None, None) if new.parent is None else (new.parent.run_id, new.parent.key)
    kind = (new.language, new.format, new.type, new.queue)
    head.created = (*named, *kind, new.started_at, *parent, new.continued_from, new.input_digest)
    head.created += (None if ticket is None else json_text(ticket),)
    picture.create(new.run_id, head)
    if new.attributes:
        attribute.give(picture, head, new.attributes)
    picture.append(head, new.events)
    if new.timers:
        picture.set_timers(head, new.timers)
    if new.tasks:
        add_tasks(picture, head, new.tasks)
    for message in new.messages:
        picture.deliver(head, message)
    if ticket is not None:
        put_ticket(picture, head, ticket, is_held=takes_slot)
    if lease is None and not has_to_wait:
        picture.wake(head, picture.next_wake(head, new.wake_at))
    return Started(
        run_id=new.run_id,
        created=True,
        leased=lease is not None,
        type=new.type,
        input_digest=new.input_digest,
        status=STATUSES[RUNNING],
        epoch=epoch,
        version=events,
    )


def _ticket_of(picture: Picture, new: NewRun) -> Ticket | None:
    """How the run waits; None if it is offered at once."""
    ticket = new.ticket or Ticket(queue=new.queue, key=new.type)
    return ticket if ticket.is_asked_for or picture.tables.holds_runs_back(ticket.queue) else None


def _started(picture: Picture, head: Head, *, created: bool) -> Started:
    if head.created is not None:
        run_type, digest = head.created[6], head.created[12]
    else:
        run_type, digest = picture.tables.run_origin(head.run)
    return Started(
        run_id=head.run_id,
        created=created,
        leased=False,
        type=run_type,
        input_digest=digest,
        status=STATUSES[head.status],
        epoch=head.epoch,
        version=head.version(),
    )


def start_from(picture: Picture, head: Head, new: NewRun, *, had_slot: bool) -> Started | None:
    """Start a run that a commit of another (``head``) asks for; None if it was refused, which the asker is told.

    A run that a commit starts is its committer's own: it never attaches to somebody else's. Where the committing run
    itself was the newest of the workflow id and is closed by now, this is its continuation.
    """
    there = picture.newest(new.namespace, new.workflow_id)
    if picture.find(new.run_id) is None and (there is None or _may_follow(head, there, new)):
        takes_slot = had_slot and new.continued_from == head.run_id
        if takes_slot:
            new = msgspec.structs.replace(new, ticket=ticket_before(picture, head))
        return _create(picture, new, takes_slot=takes_slot)
    if head.is_open():
        key = new.workflow_id if new.parent is None else new.parent.key
        picture.deliver(head, NewMessage(run_id=head.run_id, kind="start_refused", name=key))
    return None


def _may_follow(head: Head, there: Head, new: NewRun) -> bool:
    return not there.is_open() and (there is head or new.if_closed is IfRunning.RESTART)


def send(picture: Picture, message: NewMessage) -> Sent:
    """Deliver a message from outside of any run."""
    head = picture.target(message)
    if head is None:
        raise NotFound(f"there is no run {message.run_id or message.workflow_id!r} to send {message.kind!r} to")
    _check_open(head, message)
    picture.check_inbox(head)
    return picture.deliver(head, message)


def _check_open(head: Head, message: NewMessage) -> None:
    if not head.is_open():
        status = STATUSES[head.status].value
        raise RunClosed(f"{head.workflow_id!r} is {status}; it takes no {message.kind!r} any more")
