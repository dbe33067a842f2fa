"""Warrant: what clients may write into a journal over the wire, beside what the words for it cannot say anyway.

A client decides as the library does, and its server does not believe it. It may start runs, say to them what clients
say, and change runs in the ways of ``RunHandle``: end one by force, reopen a failed one, pause and resume, and copy a
history into a run of its own that nobody has begun. It may not write what a worker records (results of steps, signals
that were received), speak as a worker or as another run, or reach another namespace.

What is in plain is read here before it is kept, so that nothing is kept that no worker could read; what the client has
sealed, only those with its keys can read at all.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from keepstep.client.access.role import Role
from keepstep.codecs.opening import is_cell
from keepstep.journal import (
    Condition,
    Error,
    InvalidInput,
    Journal,
    NewEvent,
    NewMessage,
    NewRun,
    NotFound,
    Run,
    Status,
)
from keepstep.journal.limits import MOMENT_MAX
from keepstep.journal.remote.words import Change
from keepstep.queues.starting import LANGUAGE
from keepstep.retention import guest as retention
from keepstep.retention.policy import standing_of as rules_of
from keepstep.runtime import history
from keepstep.runtime.parent_word import PARENT_WORD
from keepstep.schedules import guest as schedules
from keepstep.schedules.plan import decode_opening
from keepstep.schedules.standing import standing_of
from keepstep.worker.inbox import CALLBACK_ANSWER

from .refusal import Refusal

SAID_BY_CLIENTS = frozenset(
    f"signal update cancel callback callback_failed {CALLBACK_ANSWER} resolve retry pause resume".split()
)
"""Kinds of messages. Who has answered a callback is told as the client says it; the audit log has whose key it was."""

SAID_WITH_AN_END = SAID_BY_CLIENTS | {"child_closed", PARENT_WORD}
"""What goes to the parent and the children of a run that is ended by force, and over to a run that takes its place."""

ENDINGS: Mapping[Status, str] = {
    Status.TERMINATED: history.WORKFLOW_TERMINATED,
    Status.CONTINUED: history.WORKFLOW_CONTINUED,
    Status.RUNNING: history.WORKFLOW_REOPENED,
}
"""What a client may make of a Python run, each with the one event that says so."""

DEPTH_MAX = 64


class Warrant:
    """What the calls of one namespace may write. ``may``: whether the caller has a role there."""

    def __init__(self, journal: Journal, namespace: str, may: Callable[[Role], bool]) -> None:
        self._journal = journal
        self._may = may
        self._languages = {
            namespace: LANGUAGE,
            schedules.room_of(namespace): schedules.LANGUAGE,
            retention.room_of(namespace): retention.LANGUAGE,
        }

    # messages

    async def check_message(self, message: NewMessage) -> None:
        """Raises ``InvalidInput``, ``NotFound``."""
        check_values(message)
        if message.kind not in SAID_BY_CLIENTS:
            raise InvalidInput(f"clients do not say {message.kind!r:.60} to runs")

    async def _check_words(self, messages: Iterable[NewMessage]) -> None:
        for each in messages:
            if each.kind not in SAID_WITH_AN_END:
                raise InvalidInput(f"clients do not say {each.kind!r:.60} to runs")
            if each.namespace is not None and each.namespace not in self._languages:
                raise InvalidInput(f"namespace {each.namespace!r:.100} cannot be reached from here")

    async def _check_addresses(self, messages: Iterable[NewMessage]) -> None:
        """Of what is said to other runs."""
        for each in messages:
            if each.run_id is not None and await self._journal.read_run(each.run_id) is None:
                raise NotFound(f"there is no run {each.run_id!r:.60} to say {each.kind!r} to")

    # starts

    async def check_start(self, new: NewRun) -> None:
        """Raises ``InvalidInput``, ``Refusal``."""
        check_values(new)
        self._check_language(new.namespace, new.language)
        if new.lease_id is not None or new.parent is not None or new.timers or new.tasks:
            raise InvalidInput("a run that a client starts has no lease, parent, timers or tasks from the start")
        if not _is_run_id(new.run_id):
            raise InvalidInput(f"the run id of a new run is a UUID in its canonical form, not {new.run_id!r:.60}")
        await self._check_words(new.messages)
        if not new.events:
            raise InvalidInput("a run begins with an event that says how it was started")
        if new.language == LANGUAGE and new.events[0].type != history.WORKFLOW_STARTED:
            raise InvalidInput(f"a run begins with {history.WORKFLOW_STARTED}, not with {new.events[0].type!r:.60}")
        _check_events(new.language, new.events)

    def _check_language(self, namespace: str, language: str) -> None:
        if self._languages.get(namespace) != language:
            raise InvalidInput(f"clients write no runs of the language {language!r:.60} in {namespace!r:.100}")
        if language == retention.LANGUAGE and not self._may(Role.ADMIN):
            raise Refusal(403, "forbidden", f"how long runs are kept is said by who has the role {Role.ADMIN.value}")

    # changes

    async def check_change(self, change: Change) -> None:
        """Raises ``InvalidInput``, ``NotFound``, ``Refusal``."""
        check_values(change)
        run = await self._journal.read_run(change.run_id)
        if run is None:
            raise NotFound(f"there is no run {change.run_id!r:.60}")
        self._check_language(run.namespace, run.language)
        _check_events(run.language, change.events)
        await self._check_words(change.send)
        await self._check_addresses(change.send)
        for new in change.start:
            await self.check_start(new)
        if run.language == LANGUAGE:
            _check_python(run, change)
        elif change.detail is not None:
            _check_standing(run, change.detail)


def _check_python(run: Run, change: Change) -> None:
    if change.condition not in (None, Condition.NONE, Condition.PAUSED):
        raise InvalidInput(f"whether a run is {change.condition} is said by its worker")
    if change.detail not in (None, b""):
        raise InvalidInput("what a run waits for is said by its worker")
    ends_as = None if change.status is None else ENDINGS.get(change.status)
    if change.status is not None and ends_as is None:
        raise InvalidInput(f"that a run is {change.status} is said by its worker")
    written = [each.type for each in change.events]
    if change.status is Status.CONTINUED and run.epoch:
        raise InvalidInput("another run takes the place of one that has not begun; how it goes on else, its code says")
    is_copied = run.epoch == 0 and change.status is None and not set(written) & history.CLOSING
    if not is_copied and written != [ends_as] * (ends_as is not None):
        raise InvalidInput("what happens in a run is recorded by its worker")


def _check_events(language: str, events: Sequence[NewEvent]) -> None:
    for event in events:
        if is_cell(event.data):
            continue
        try:
            if language == LANGUAGE:
                history.unpack(event.type, event.data)
            elif language == schedules.LANGUAGE:
                decode_opening(event.data)
            else:
                msgspec.json.decode(event.data)
        except (KeyError, msgspec.MsgspecError, Error, UnicodeDecodeError) as error:
            raise InvalidInput(f"an event {event.type!r:.60} has data that nobody could read: {error}") from None


def _check_standing(run: Run, detail: bytes) -> None:
    if is_cell(detail):
        return
    read = standing_of if run.language == schedules.LANGUAGE else rules_of
    try:
        read(msgspec.structs.replace(run, detail=detail))
    except (msgspec.MsgspecError, Error, UnicodeDecodeError, ValueError) as error:
        raise InvalidInput(f"where {run.workflow_id!r} is could not be read by anybody: {error}") from None


def _is_run_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def check_values(said: Any, depth: int = 0) -> None:
    """That numbers and texts are such as every store can keep, and times such as can be shown. Raises
    ``InvalidInput``."""
    if depth > DEPTH_MAX:
        raise InvalidInput(f"what is said is nested more than {DEPTH_MAX} deep")
    if isinstance(said, str):
        if "\0" in said:
            raise InvalidInput(f"{said[:40]!r} has the sign of code 0 in it; leave that out")
    elif isinstance(said, int):
        if abs(said) > MOMENT_MAX:
            raise InvalidInput(f"{said!r:.40} is beyond all numbers and times that are kept")
    elif isinstance(said, msgspec.Struct):
        for name in said.__struct_fields__:
            if name != "attributes":  # which are a user's own, and are looked at by their types
                check_values(getattr(said, name), depth + 1)
    elif isinstance(said, dict):
        check_values(list(said.items()), depth + 1)
    elif isinstance(said, list | tuple):
        for each in said:
            check_values(each, depth + 1)
