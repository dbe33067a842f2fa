"""Forking: a new run that begins with another one's history up to some event, its results edited if wished.

The copy is made of events alone; what the other run had begun and not recorded is begun anew. A history that is too
long for one commit is copied in several, into a run that nobody is offered before the last of them; one that was cut
off in between is blocked (``runtime.fork``).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from keepstep.journal import (
    Commit,
    Event,
    IfRunning,
    InvalidInput,
    Journal,
    NewEvent,
    NewMessage,
    NewRun,
    Run,
    Started,
    Status,
)
from keepstep.journal.limits import COMMIT_BYTES_MAX, WORKFLOW_ID_CHARS_MAX
from keepstep.queues.starting import LANGUAGE
from keepstep.runtime import history
from keepstep.runtime.data import checked_name, encode_value, within_limit
from keepstep.runtime.history import pack
from keepstep.runtime.registry import find_step, find_workflow
from keepstep.runtime.reopening import without_superseded
from keepstep.worker.last_event import last_event

from .answer import check_fit
from .published import Published, schema_of

PAGE = 1000
CHUNK_BYTES = COMMIT_BYTES_MAX // 2
CHUNK_EVENTS = 20_000

ANSWERS = {
    history.STEP_COMPLETED: history.STEP_COMPLETED,
    history.STEP_FAILED: history.STEP_COMPLETED,
    history.CALLBACK_COMPLETED: history.CALLBACK_COMPLETED,
    history.CALLBACK_FAILED: history.CALLBACK_COMPLETED,
    history.CHILD_CLOSED: history.CHILD_CLOSED,
}
"""Events whose result can be replaced, and what they are then."""


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    at: int | None
    replace: Mapping[str, Any]
    id: str | None
    run_id: str
    """Of the new run."""


async def fork(journal: Journal, published: Published, source: Run, wanted: Fork, chance: Random) -> tuple[str, str]:
    """Start the fork; its workflow id and run id. See ``RunHandle.fork``."""
    if source.language != LANGUAGE:
        raise InvalidInput(f"run {source.workflow_id!r} is written in {source.language!r}; only Python runs fork")
    events = [event async for event in _read(journal, source, wanted.at)]
    at = _last_copied(source, events, wanted)
    copied = events[:at]
    _check_open(source, copied)
    replaced = await _replaced(published, source, copied, wanted.replace)
    messages = await _children_closed(journal, source, copied, wanted.run_id)
    own = history.KnownAs(
        source.run_id, source.workflow_id, source.queue, source.started_at, source.parent_run_id, source.continued_from
    )
    forked = history.Forked(
        run_id=source.run_id,
        workflow_id=source.workflow_id,
        at=at,
        seed=chance.randbytes(16),
        known_as=await _known_as(journal, source, at) or own,
        replaced=tuple(sorted(wanted.replace)),
    )
    now = journal.clock.now()
    began = msgspec.structs.replace(history.unpack(copied[0].type, copied[0].data), forked_at=at)
    replaced[1] = NewEvent(copied[0].type, copied[0].time, None, pack(began))
    new_events = [replaced.get(each.seq) or NewEvent(each.type, each.time, each.key, each.data) for each in copied]
    new_events.append(NewEvent(history.FORKED, now, None, pack(forked)))
    started = await _start(journal, source, wanted, new_events, messages, now)
    return _id_of(source, wanted), started.run_id


def _id_of(source: Run, wanted: Fork) -> str:
    if wanted.id is not None:
        return checked_name(wanted.id, "the id of a fork", WORKFLOW_ID_CHARS_MAX)
    suffix = f"/fork-{wanted.run_id[-12:]}"
    return source.workflow_id[: WORKFLOW_ID_CHARS_MAX - len(suffix)] + suffix


async def _read(journal: Journal, source: Run, at: int | None) -> AsyncIterator[Event]:
    if at is not None and (type(at) is not int or not 1 <= at <= source.last_seq):
        raise InvalidInput(
            f"run {source.workflow_id!r} has the events 1 to {source.last_seq}; fork at one of them, not at {at!r}"
        )
    last, seq = source.last_seq if at is None else at, 0
    while seq < last:
        page = await journal.read_events(source.run_id, seq, min(PAGE, last - seq))
        if not page:
            raise InvalidInput(f"the history of run {source.workflow_id!r} is not there any more")
        for event in page:
            yield event
        seq = page[-1].seq


def _last_copied(source: Run, events: Sequence[Event], wanted: Fork) -> int:
    """The seq at which to fork; where none was given: at the last result that is replaced, or as late as possible."""
    if wanted.at is not None:
        return wanted.at
    if wanted.replace:
        return max(_answer(source, events, key).seq for key in wanted.replace)
    return source.last_seq - 1 if source.status is not Status.RUNNING else source.last_seq


def _check_open(source: Run, copied: Sequence[Event]) -> None:
    """A run that had ended at that event has nothing to go on with."""
    going_on, _ = without_superseded(copied)
    ended = next((each for each in going_on if each.type in history.CLOSING), None)
    if ended is not None:
        raise InvalidInput(
            f"run {source.workflow_id!r} had ended at seq {ended.seq} ({ended.type}); fork it at an event before that"
        )


# replacing


def _answer(source: Run, events: Sequence[Event], key: str) -> Event:
    """The event with an operation's result."""
    counted, _ = without_superseded(events)
    for event in reversed(counted):
        if event.key == key and event.type in ANSWERS:
            return event
    known = [each.key for each in counted if each.key and each.type in ANSWERS]
    those = f"results there are of: {', '.join(known[-20:])}" if known else "there are no results yet"
    raise InvalidInput(
        f"run {source.workflow_id!r} has no result with the key {key!r} in its first {events[-1].seq} events; {those}"
    )


async def _replaced(
    published: Published, source: Run, copied: Sequence[Event], replace: Mapping[str, Any]
) -> dict[int, NewEvent]:
    """The events that are to stand in the place of recorded ones, by seq."""
    made: dict[int, NewEvent] = {}
    for key, value in replace.items():
        event = _answer(source, copied, key)
        payload = within_limit(encode_value(value), "the result of", key, published.value_bytes_max)
        await _check_result(published, event, key, payload)
        made[event.seq] = NewEvent(ANSWERS[event.type], event.time, key, _answered(event, payload))
    return made


def _answered(event: Event, payload: bytes) -> bytes:
    data = history.unpack(event.type, event.data)
    if event.type == history.CHILD_CLOSED:
        return pack(history.ChildClosed(Status.COMPLETED, payload))
    if event.type in (history.CALLBACK_COMPLETED, history.CALLBACK_FAILED):
        return pack(history.CallbackCompleted(payload))
    return pack(history.StepCompleted(data.digest, payload, data.attempts, "fork", data.asked_seq))


async def _check_result(published: Published, event: Event, key: str, payload: bytes) -> None:
    """As far as it is known here what the operation returns."""
    is_child = event.type == history.CHILD_CLOSED
    if not is_child and event.type not in (history.STEP_COMPLETED, history.STEP_FAILED):
        return
    for name in names_in(key):
        known = find_workflow(name) if is_child else find_step(name)
        if known is not None:
            try:
                known.signature.decode_result(payload)
            except InvalidInput as error:
                raise InvalidInput(f"{name!r} could not have returned what is to replace {key!r}: {error}") from error
            return
        served = (await published.workflows()).get(name) if is_child else await published.find_step(name)
        if served is not None:
            check_fit(payload, schema_of(served).get("result", {}), f"{name!r} could not have returned this")
            return


_BRANCH = re.compile(r".*\(\)(?:#\d+)?/", re.DOTALL)
_OCCURRENCE = re.compile(r"#\d+$")


def names_in(key: str) -> Iterator[str]:
    """The names that an operation with that key may have: the key's last part, with and without its occurrence."""
    last = _BRANCH.sub("", key)
    yield last
    counted = _OCCURRENCE.sub("", last)
    yield counted
    if counted.endswith("]"):
        yield counted.partition("[")[0]


# children


async def _children_closed(
    journal: Journal, source: Run, copied: Sequence[Event], run_id: str
) -> tuple[NewMessage, ...]:
    """What the fork is told of children that were open at that event, and have come to their end since."""
    waiting: dict[str, Event] = {}
    counted, _ = without_superseded(copied)
    for event in counted:
        if event.type == history.CHILD_STARTED:
            waiting[event.key or ""] = event
        elif event.type in (history.CHILD_CLOSED, history.CHILD_REFUSED):
            waiting.pop(event.key or "", None)
    return tuple(
        [
            NewMessage(run_id=run_id, kind="child_closed", name=key, data=await _end_of(journal, source, event))
            for key, event in waiting.items()
        ]
    )


async def _end_of(journal: Journal, source: Run, started: Event) -> bytes:
    child = await journal.read_run(history.unpack(started.type, started.data).run_id)
    if child is None or child.status is Status.RUNNING:
        is_what = "is still open" if child is not None else "is not there any more"
        raise InvalidInput(
            f"run {source.workflow_id!r} waits there for its child at {started.key!r}, which {is_what}, and a child "
            f"tells its end to its own parent alone; fork at an event before {started.seq}, where it is started"
            + (", or when it has closed" if child is not None else "")
        )
    end = await last_event(journal, child)
    data = history.unpack(end.type, end.data)
    payload = getattr(data, "payload", b"") or getattr(data, "failure", b"")
    return pack(history.ChildClosed(child.status, payload))


# starting


async def _known_as(journal: Journal, source: Run, at: int) -> history.KnownAs | None:
    """Who the code was at that event, if that was copied itself."""
    first = (await journal.read_events(source.run_id, 0, 1))[0]
    forked_at = history.unpack(first.type, first.data).forked_at
    if at > forked_at:
        return None
    async for event in _read(journal, source, None):
        if event.type == history.FORKED and event.seq > at:
            known: history.KnownAs = history.unpack(event.type, event.data).known_as
            return known
    return None


async def _start(
    journal: Journal,
    source: Run,
    wanted: Fork,
    events: Sequence[NewEvent],
    messages: tuple[NewMessage, ...],
    now: int,
) -> Started:
    first, *others = _chunks(events)
    started = await journal.start(
        NewRun(
            run_id=wanted.run_id,
            workflow_id=_id_of(source, wanted),
            namespace=source.namespace,
            language=source.language,
            format=source.format,
            type=source.type,
            queue=source.queue,
            events=first,
            started_at=now,
            input_digest=source.input_digest,
            attributes=source.attributes,
            wake_at=None if others else 0,
            if_running=IfRunning.REJECT,
            if_closed=IfRunning.RESTART,
            messages=() if others else messages,
        )
    )
    version, last = started.version, len(others)
    for number, chunk in enumerate(others, 1):
        end: dict[str, Any] = {"wake_at": 0, "send": messages} if number == last else {}
        done = await journal.commit(Commit(run_id=wanted.run_id, version=version, events=chunk, **end))
        version = done.version
    return started


def _chunks(events: Sequence[NewEvent]) -> Iterator[tuple[NewEvent, ...]]:
    """Parts that one commit can carry each."""
    chunk: list[NewEvent] = []
    size = 0
    for event in events:
        if chunk and (size + len(event.data) > CHUNK_BYTES or len(chunk) >= CHUNK_EVENTS):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(event)
        size += len(event.data)
    yield tuple(chunk)
