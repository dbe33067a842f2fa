"""Starting runs, from outside and from within commits."""

from __future__ import annotations

from copy import deepcopy

import msgspec

from keepstep.journal.commit import NewRun, Started
from keepstep.journal.errors import AlreadyStarted, Conflict
from keepstep.journal.message import NewMessage
from keepstep.journal.run import Condition, IfRunning, Run, Status

from . import attributes
from .disk import SHARD, RunRow, Transaction
from .history import append_events
from .inbox import check_open, deliver
from .queueing import put_ticket, ticket_of
from .size import check_inbox
from .task import add_tasks


def start(tx: Transaction, new: NewRun) -> Started:
    """Start a run or attach to the newest one of its workflow id."""
    there = tx.disk.find(new.namespace, new.workflow_id)
    if there is None:
        check_run_id(tx, new)
        attributes.admit(tx.disk, new.namespace, new.attributes)
        return create(tx, new)
    rule = new.if_running if there.is_open() else new.if_closed
    if rule is IfRunning.REJECT:
        raise AlreadyStarted(
            f"{new.workflow_id!r} exists (run {there.run.run_id}, {there.run.status.value}); "
            "choose another id, or allow to attach to it"
        )
    if rule is IfRunning.ATTACH:
        return _attach(tx, there, new)
    if there.is_open():
        raise Conflict(f"{new.workflow_id!r} is open (run {there.run.run_id}); close it before it is restarted")
    check_run_id(tx, new)
    attributes.admit(tx.disk, new.namespace, new.attributes)
    return create(tx, new)


def check_run_id(tx: Transaction, new: NewRun) -> None:
    if new.run_id in tx.disk.runs:
        raise Conflict(f"run id {new.run_id} is taken; make a new one for every start")


def _attach(tx: Transaction, row: RunRow, new: NewRun) -> Started:
    for message in new.messages:
        check_open(row.run, message)
    check_inbox(row, len(new.messages))
    for message in new.messages:
        deliver(tx, row, message)
    return _started(row, created=False, leased=False)


def create(tx: Transaction, new: NewRun, *, takes_slot: bool = False) -> Started:
    """Write a new run, whose workflow id has no open run.

    ``takes_slot``: it goes on in the slot of the run that it continues.
    """
    ticket = ticket_of(tx, new.queue, new.type, new.ticket)
    has_to_wait = ticket is not None and not takes_slot
    leased = new.lease_id is not None and new.lease_id in tx.disk.leases and not has_to_wait
    row = RunRow(_new_run(new, leased), tx.disk.next_number("run"))
    tx.disk.runs[new.run_id] = row
    tx.disk.add_open(row)
    tx.disk.workflows.setdefault((new.namespace, new.workflow_id), []).append(new.run_id)
    append_events(tx, row, new.events)
    row.claimed_seq = len(new.events)
    row.timers = new.timers
    add_tasks(tx, row, new.tasks)
    for message in new.messages:
        deliver(tx, row, message)
    if ticket is not None:
        put_ticket(tx, row, ticket, is_held=takes_slot)
    if not leased and not has_to_wait:
        tx.wake(row, row.next_wake(new.wake_at))
    return _started(row, created=True, leased=leased)


def _new_run(new: NewRun, leased: bool) -> Run:
    return Run(
        run_id=new.run_id,
        workflow_id=new.workflow_id,
        namespace=new.namespace,
        shard=SHARD,
        language=new.language,
        format=new.format,
        type=new.type,
        queue=new.queue,
        status=Status.RUNNING,
        condition=Condition.NONE,
        detail=b"",
        version=len(new.events),
        last_seq=len(new.events),
        epoch=1 if leased else 0,
        owner=new.lease_id if leased else None,
        wake_at=None,
        started_at=new.started_at,
        closed_at=0,
        parent_run_id=None if new.parent is None else new.parent.run_id,
        parent_key=None if new.parent is None else new.parent.key,
        input_digest=new.input_digest,
        attributes=deepcopy(new.attributes),
        status_text="",
        strikes=0,
        continued_from=new.continued_from,
    )


def _started(row: RunRow, *, created: bool, leased: bool) -> Started:
    run = row.run
    return Started(
        run_id=run.run_id,
        created=created,
        leased=leased,
        type=run.type,
        input_digest=run.input_digest,
        status=run.status,
        epoch=run.epoch,
        version=run.version,
    )


def start_from(tx: Transaction, row: RunRow, new: NewRun, *, had_slot: bool) -> Started | None:
    """Start a run that a commit of another (``row``) asks for; None if it was refused, which the asker is told.

    A run that a commit starts is its committer's own: it never attaches to somebody else's. Where the committing run
    itself was the newest of the workflow id and is closed by now, this is its continuation.
    """
    there = tx.disk.find(new.namespace, new.workflow_id)
    if new.run_id not in tx.disk.runs and (there is None or _may_follow(row, there, new)):
        takes_slot = had_slot and new.continued_from == row.run.run_id
        if takes_slot:
            new = msgspec.structs.replace(new, ticket=row.ticket)
        return create(tx, new, takes_slot=takes_slot)
    if row.is_open():
        key = new.workflow_id if new.parent is None else new.parent.key
        deliver(tx, row, NewMessage(run_id=row.run.run_id, kind="start_refused", name=key))
    return None


def _may_follow(row: RunRow, there: RunRow, new: NewRun) -> bool:
    return not there.is_open() and (there is row or new.if_closed is IfRunning.RESTART)
