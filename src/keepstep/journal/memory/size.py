"""Limits that depend on what the run already holds; the others are checked in ``journal/size.py``."""

from __future__ import annotations

from collections.abc import Iterable

from keepstep.journal import limits
from keepstep.journal.errors import Overloaded, TooLarge
from keepstep.journal.event import NewEvent
from keepstep.journal.message import NewMessage

from .disk import MemoryDisk, RunRow


def check_growth(row: RunRow, events: Iterable[NewEvent]) -> None:
    """Raises ``TooLarge`` if a run's history would pass its limits."""
    new = [len(event.data) for event in events]
    if new:
        _check_history(row.run.workflow_id, row.run.last_seq + len(new), row.history_bytes + sum(new))


def _check_history(workflow_id: str, events: int, size: int) -> None:
    if events > limits.HISTORY_EVENTS_MAX or size > limits.HISTORY_BYTES_MAX:
        raise TooLarge(
            f"the history of {workflow_id!r} would have {events} events and {size} bytes, more than "
            f"{limits.HISTORY_EVENTS_MAX} and {limits.HISTORY_BYTES_MAX}; continue as new"
        )


def check_inboxes(disk: MemoryDisk, messages: Iterable[NewMessage]) -> None:
    """Raises ``Overloaded`` if an open run's inbox could not take all of the messages addressed to it."""
    arriving: dict[str, int] = {}
    for message in messages:
        row = disk.target(message)
        if row is None or not row.is_open():
            continue
        arriving[row.run.run_id] = count = arriving.get(row.run.run_id, 0) + 1
        check_inbox(row, count)


def check_inbox(row: RunRow, arriving: int = 1) -> None:
    if len(row.inbox) + arriving > limits.INBOX_MESSAGES_MAX:
        raise Overloaded(
            f"the inbox of {row.run.workflow_id!r} is full ({limits.INBOX_MESSAGES_MAX} messages); try again later"
        )
