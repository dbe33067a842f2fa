"""Messages: what is sent to runs and waits there for the one commit that consumes it."""

from __future__ import annotations

from keepstep.journal.errors import NotFound, RunClosed
from keepstep.journal.message import Message, NewMessage, Sent
from keepstep.journal.run import Run, Status

from .disk import PARKED, RunRow, Transaction
from .size import check_inbox


def send(tx: Transaction, message: NewMessage) -> Sent:
    """Deliver a message from outside of any run."""
    row = tx.disk.target(message)
    if row is None:
        raise NotFound(f"there is no run {message.run_id or message.workflow_id!r} to send {message.kind!r} to")
    check_open(row.run, message)
    check_inbox(row)
    return deliver(tx, row, message)


def check_open(run: Run, message: NewMessage) -> None:
    if run.status is not Status.RUNNING:
        raise RunClosed(f"{run.workflow_id!r} is {run.status.value}; it takes no {message.kind!r} any more")


def deliver(tx: Transaction, row: RunRow, message: NewMessage) -> Sent:
    """Put a message into an open run's inbox and wake the run, unless it is a duplicate."""
    run_id = row.run.run_id
    if message.id is not None and message.id in row.message_ids:
        return Sent(run_id, row.message_ids[message.id], True)
    n = tx.disk.next_number("arrival")
    row.inbox[n] = Message(
        run_id=run_id, n=n, kind=message.kind, name=message.name, data=message.data, time=tx.now, id=message.id
    )
    if message.id is not None:
        row.message_ids[message.id] = n
    if message.wakes:
        row.wakers[n] = None
    if row.run.owner is not None:
        tx.news.inbox(run_id)
    elif message.wakes and row.run.condition not in PARKED:
        tx.wake(row, 0)
    return Sent(run_id, n, False)


def deliver_or_drop(tx: Transaction, message: NewMessage) -> None:
    """Deliver a message that a commit sends; to a missing or closed run it is dropped."""
    row = tx.disk.target(message)
    if row is not None and row.is_open():
        deliver(tx, row, message)
