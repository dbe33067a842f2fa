"""The documented limits, checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable

from keepstep.journal import limits
from keepstep.journal.commit import Commit, NewRun
from keepstep.journal.errors import InvalidInput, Overloaded, TooLarge
from keepstep.journal.event import NewEvent
from keepstep.journal.message import NewMessage

from .disk import MemoryDisk, RunRow


def check_event(event: NewEvent) -> int:
    """The size of an event's data. Raises ``TooLarge``."""
    size = len(event.data)
    if size > limits.EVENT_BYTES_MAX:
        raise TooLarge(
            f"event {event.type} {event.key or ''} has {size} bytes, more than {limits.EVENT_BYTES_MAX}; "
            "keep large values elsewhere and pass a reference"
        )
    return size


def check_message(message: NewMessage) -> int:
    """The size of a message. Raises ``TooLarge``, ``InvalidInput``."""
    check_text("message name", message.name, limits.NAME_CHARS_MAX)
    size = len(message.data)
    if size > limits.PAYLOAD_BYTES_MAX:
        raise TooLarge(
            f"message {message.kind} {message.name!r} has {size} bytes, more than {limits.PAYLOAD_BYTES_MAX}; "
            "keep large values elsewhere and pass a reference"
        )
    return size


def check_address(message: NewMessage) -> None:
    """Raises ``InvalidInput`` if a message does not say to whom it goes."""
    if message.run_id is None and (message.namespace is None or message.workflow_id is None):
        raise InvalidInput(
            f"message {message.kind} {message.name!r} has no address; give run_id, or namespace and workflow_id"
        )


def check_text(what: str, text: str, chars_max: int) -> None:
    if len(text) > chars_max:
        raise TooLarge(f"{what} {text[:40]!r}… has {len(text)} characters, more than {chars_max}")


def check_new_run(new: NewRun) -> int:
    """The size of a new run. Raises ``TooLarge``, ``InvalidInput``."""
    if not new.run_id or not new.workflow_id:
        raise InvalidInput("a new run needs a run_id and a workflow_id")
    check_text("workflow id", new.workflow_id, limits.WORKFLOW_ID_CHARS_MAX)
    check_text("workflow type", new.type, limits.NAME_CHARS_MAX)
    size = sum(map(check_event, new.events)) + sum(map(check_message, new.messages))
    size += sum(len(task.data) for task in new.tasks)
    check_total(size, f"the start of {new.workflow_id!r}")
    _check_history(new.workflow_id, len(new.events), sum(len(event.data) for event in new.events))
    if len(new.messages) > limits.INBOX_MESSAGES_MAX:
        raise TooLarge(f"{new.workflow_id!r} starts with more than {limits.INBOX_MESSAGES_MAX} messages; send fewer")
    return size


def check_commit_size(commit: Commit) -> None:
    """Raises ``TooLarge`` if the commit, or one thing in it, is over its limit."""
    for message in commit.send:
        check_address(message)
    size = sum(map(check_event, commit.events)) + sum(map(check_message, commit.send))
    size += sum(map(check_new_run, commit.start)) + sum(len(task.data) for task in commit.tasks)
    size += sum(len(change.data or b"") for change in commit.state)
    check_total(size, f"the commit to run {commit.run_id}")


def check_total(size: int, what: str) -> None:
    if size > limits.COMMIT_BYTES_MAX:
        raise TooLarge(f"{what} carries {size} bytes, more than {limits.COMMIT_BYTES_MAX}; split it")


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
