"""Size: the documented limits, checked on the caller's side of every store before anything is queued."""

from __future__ import annotations

from collections.abc import Sequence

from . import limits
from .commit import Commit, NewRun
from .errors import InvalidInput, TooLarge
from .event import Event, NewEvent
from .message import Message, NewMessage
from .port import AuditLine, Loaded
from .run import Status


def _event_bytes(event: NewEvent | Event) -> int:
    size = len(event.data)
    if size > limits.EVENT_BYTES_MAX:
        raise TooLarge(
            f"event {event.type} {event.key or ''} has {size} bytes, more than {limits.EVENT_BYTES_MAX}; "
            "keep large values elsewhere and pass a reference"
        )
    return size


def check_message(message: NewMessage) -> int:
    """The size of a message. Raises ``TooLarge``, ``InvalidInput``."""
    if message.run_id is None and (message.namespace is None or message.workflow_id is None):
        raise InvalidInput(
            f"message {message.kind} {message.name!r} has no address; give run_id, or namespace and workflow_id"
        )
    return _message_bytes(message)


def _message_bytes(message: NewMessage | Message) -> int:
    _check_text("message name", message.name, limits.NAME_CHARS_MAX)
    size = len(message.data)
    if size > limits.PAYLOAD_BYTES_MAX:
        raise TooLarge(
            f"message {message.kind} {message.name!r} has {size} bytes, more than {limits.PAYLOAD_BYTES_MAX}; "
            "keep large values elsewhere and pass a reference"
        )
    return size


def _check_text(what: str, text: str, chars_max: int) -> None:
    """Names must be such that every store can keep and find them."""
    if not isinstance(text, str):
        raise InvalidInput(f"{what} must be text, not {text!r:.100}")
    if "\0" in text or not (text.isascii() or _is_unicode(text)):
        raise InvalidInput(f"{what} {text[:40]!r} holds a NUL or half of a surrogate pair; leave that out")
    if len(text) > chars_max:
        raise TooLarge(f"{what} {text[:40]!r}… has {len(text)} characters, more than {chars_max}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_new_run(new: NewRun) -> int:
    """The size of a new run. Raises ``TooLarge``, ``InvalidInput``."""
    if not new.run_id or not new.workflow_id or not new.queue:
        raise InvalidInput("a new run needs a run id, a workflow id and a queue, none of them empty")
    _check_text("workflow id", new.workflow_id, limits.WORKFLOW_ID_CHARS_MAX)
    _check_text("workflow type", new.type, limits.NAME_CHARS_MAX)
    _check_text("queue", new.queue, limits.NAME_CHARS_MAX)
    size = sum(map(_event_bytes, new.events)) + sum(map(_message_bytes, new.messages))
    size += sum([len(task.data) for task in new.tasks])
    if len(new.events) > limits.HISTORY_EVENTS_MAX:
        raise TooLarge(
            f"{new.workflow_id!r} starts with {len(new.events)} events, more than {limits.HISTORY_EVENTS_MAX}"
        )
    if len(new.messages) > limits.INBOX_MESSAGES_MAX:
        raise TooLarge(f"{new.workflow_id!r} starts with more than {limits.INBOX_MESSAGES_MAX} messages; send fewer")
    _check_total(size, f"the start of {new.workflow_id!r}")
    return size


_NO_TEXTS = (None, None, None)


def check_imported(loaded: Loaded, audit: Sequence[AuditLine] = ()) -> None:
    """Raises ``InvalidInput`` for a run that is not closed or not whole, or that no store could have had; ``TooLarge``.

    It comes from a file that anybody may have written: what the writer of a store would stumble over is found here.
    """
    run = loaded.run
    if run.status is Status.RUNNING or not run.closed_at:
        raise InvalidInput(
            f"run {run.run_id} ({run.workflow_id!r}) is open: it would go on here and where it comes from, and do "
            "everything twice; import it when it has ended"
        )
    is_whole = len(loaded.events) == run.last_seq and all(n == each.seq for n, each in enumerate(loaded.events, 1))
    if not is_whole or run.version < run.last_seq:
        raise InvalidInput(f"run {run.run_id} ({run.workflow_id!r}) does not have all of its {run.last_seq} events")
    _check_numbers(loaded, audit)
    _check_texts(loaded, audit)
    size = sum(map(_event_bytes, loaded.events)) + sum(map(len, loaded.state.values()))
    size += sum(map(_message_bytes, loaded.messages))
    if size > limits.IMPORT_BYTES_MAX:
        raise TooLarge(
            f"run {run.run_id} ({run.workflow_id!r}) has {size} bytes, more than {limits.IMPORT_BYTES_MAX}, which is "
            "what can be imported; replay it from its file"
        )


def _check_numbers(loaded: Loaded, audit: Sequence[AuditLine]) -> None:
    run = loaded.run
    moments = [run.started_at, run.closed_at, *(each.time for each in loaded.events)]
    moments += [*(each.time for each in loaded.messages), *(each.time for each in audit)]
    counts = (run.version, run.epoch, run.strikes, run.format)
    for what, numbers, most in (("time", moments, limits.MOMENT_MAX), ("count", counts, limits.COUNT_MAX)):
        if wrong := [each for each in numbers if not 0 <= each <= most]:
            raise InvalidInput(f"run {run.run_id} has a {what} that no run can have: {wrong[0]}; export it again")


def _check_texts(loaded: Loaded, audit: Sequence[AuditLine]) -> None:
    run = loaded.run
    for what, text, chars_max in (
        ("run id", run.run_id, limits.NAME_CHARS_MAX),
        ("workflow id", run.workflow_id, limits.WORKFLOW_ID_CHARS_MAX),
        ("namespace", run.namespace, limits.NAME_CHARS_MAX),
        ("language", run.language, limits.NAME_CHARS_MAX),
        ("workflow type", run.type, limits.NAME_CHARS_MAX),
        ("queue", run.queue, limits.NAME_CHARS_MAX),
    ):
        _check_text(what, text, chars_max)
        if not text:
            raise InvalidInput(f"run {run.run_id} has no {what}")
    others = [run.parent_run_id, run.parent_key, run.continued_from, run.status_text, *(each.text for each in audit)]
    others += [text for each in loaded.events for text in (each.type, each.key)]
    others += [text for key in loaded.state for text in key]
    others += [text for each in loaded.messages for text in (each.kind, each.id)]
    for text in filter(None, others):
        _check_text(f"a text of run {run.run_id}", text, limits.EVENT_BYTES_MAX)
    ids = [each.id for each in loaded.messages if each.id is not None]
    if len(set(ids)) < len(ids):
        raise InvalidInput(f"run {run.run_id} has two messages of the same id; export it again")


def check_commit(commit: Commit) -> None:
    """Raises ``TooLarge`` for what is over a limit, ``InvalidInput`` for what could not be right for any run."""
    if commit.epoch is None and commit.version is None and commit.task_token is None:
        raise InvalidInput(
            f"the commit to run {commit.run_id} expects nothing; give an epoch, a version or a task token"
        )
    if commit.seize and commit.version is None:
        raise InvalidInput(f"the commit to run {commit.run_id} seizes the run, which needs a version")
    events = commit.events
    texts = (commit.detail, commit.status_text, commit.audit)
    if len(events) == 1 and texts == _NO_TEXTS and not (commit.state or commit.send or commit.start or commit.tasks):
        _event_bytes(events[0])  # what one event may have is less than what a commit may have
        return
    size = sum([len(text) for text in texts if text is not None])
    for event in events:
        size += _event_bytes(event)
    for change in commit.state:
        size += len(change.data or b"")
    for message in commit.send:
        size += check_message(message)
    for new in commit.start:
        size += check_new_run(new)
    for task in commit.tasks:
        size += len(task.data)
    _check_total(size, f"the commit to run {commit.run_id}")


def _check_total(size: int, what: str) -> None:
    if size > limits.COMMIT_BYTES_MAX:
        raise TooLarge(f"{what} carries {size} bytes, more than {limits.COMMIT_BYTES_MAX}; split it")
