"""Streaming: what a run says on its way, for whoever reads along.

The values are in the run's history, between its other events. A reader looks after each hint that the run has said
something or has ended, and every ``poll_seconds`` behind that, since hints may get lost; other processes' hints name no
run, so that after such a one all readers look, at most fifty times a second. Whether the run is closed is read before
its events are, so that its last word is never missed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from keepstep.journal import Event, InvalidInput, Journal, NotFound, Status
from keepstep.runtime import history
from keepstep.runtime.stream import BATCH_VALUES_MAX, event_before, position_of

from .ear import Ear
from .info import moment

T = TypeVar("T")

PAGE = 100

PAGE_EVENTS_MAX = 5000
"""Events that are looked at for one page."""
PAGE_BYTES_MAX = 4 * 1024 * 1024
"""A page ends behind the event with which its values have more."""


class StreamValue(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One value of a stream."""

    value: T
    position: int
    """Grows within the run. ``run.stream(name, after=position)`` goes on behind it, in any process."""
    time: datetime
    """When it was recorded."""
    step: str | None
    """The key of the step that has said it; None for what the workflow itself has said."""
    attempt: int
    """Of that step, from 1; 0 for the workflow. What an attempt has said that failed is followed by what the next says;
    one that was cut off by a crash is begun again under its number."""


async def read_stream(
    journal: Journal, run_id: str, name: str, decode: Callable[[bytes], Any], after: int, poll_seconds: float
) -> AsyncGenerator[StreamValue[Any], None]:
    """See ``RunHandle.stream``."""
    if type(after) is not int or after < 0:
        raise InvalidInput(f"after is the position of a value, or 0 for all of them, not {after!r:.60}")
    seq = event_before(after)
    ear = Ear(journal, run_id)
    try:
        while True:
            ear.forget()
            run = await journal.read_run(run_id)
            if run is None:
                raise NotFound(f"there is no run {run_id} any more; its retention has ended")
            page = await journal.read_events(run_id, seq, PAGE)
            for event in page:
                seq = event.seq
                data = _written(event, name)
                if data is None:
                    continue
                for value in _values(event, data, decode, after):
                    yield value
                if data.is_end:
                    return
            if page:
                continue
            if run.status is not Status.RUNNING:
                return
            await ear.listen(poll_seconds)
    finally:
        ear.close()


class StreamPage(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream has behind a position."""

    values: list[StreamValue[Any]]
    position: int
    """Behind it the next page begins."""
    has_more: bool
    """More may be recorded already."""
    has_ended: bool
    """Nothing follows any more: the stream was closed, or the run has ended."""


async def read_page(
    journal: Journal, run_id: str, name: str, decode: Callable[[bytes], Any], after: int, limit: int
) -> StreamPage:
    """At most ``limit`` values; fewer, and even none, where there are long stretches of other events, or large values.

    Raises ``NotFound``.
    """
    run = await journal.read_run(run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id} any more; its retention has ended")
    values: list[StreamValue[Any]] = []
    seq, read_bytes = event_before(after), 0
    for _ in range(PAGE_EVENTS_MAX // PAGE):
        page = await journal.read_events(run_id, seq, PAGE)
        for event in page:
            seq = event.seq
            data = _written(event, name)
            if data is None:
                continue
            found = _values(event, data, decode, after)
            is_whole = len(values) + len(found) <= limit
            values += found[: limit - len(values)]
            read_bytes += len(event.data) if found else 0
            if data.is_end and is_whole:
                return StreamPage(values=values, position=_end_of(seq), has_more=False, has_ended=True)
            if len(values) == limit or read_bytes > PAGE_BYTES_MAX:
                return StreamPage(values=values, position=values[-1].position, has_more=True, has_ended=False)
        if len(page) < PAGE:
            ended = run.status is not Status.RUNNING
            return StreamPage(values=values, position=max(after, _end_of(seq)), has_more=False, has_ended=ended)
    return StreamPage(values=values, position=max(after, _end_of(seq)), has_more=True, has_ended=False)


def _written(event: Event, name: str) -> history.StreamWritten | None:
    """What an event has of the stream of that name."""
    if event.type != history.STREAM_WRITTEN:
        return None
    data: history.StreamWritten = history.unpack(event.type, event.data)
    return data if data.name == name else None


def _end_of(seq: int) -> int:
    """A position behind all values of an event."""
    return position_of(seq, BATCH_VALUES_MAX - 1) if seq else 0


def _values(
    event: Event, data: history.StreamWritten, decode: Callable[[bytes], Any], after: int
) -> list[StreamValue[Any]]:
    return [
        StreamValue(
            value=decode(payload),
            position=position,
            time=moment(event.time),
            step=data.step or None,
            attempt=data.attempt,
        )
        for number, payload in enumerate(data.payloads)
        if (position := position_of(event.seq, number)) > after
    ]
