"""Timeline: what a run has done and waits for as spans of time, made of its history and of what it says it waits for.

Pure: events go in one after the other, ``Timeline.spans`` come out. It needs no code of the run.

* A step is one event, of its end. When it was asked for is the time of the event during whose delivery the code asked
  (``asked_seq``); of steps that older versions recorded nobody knows that.
* Timers, callbacks, children and updates have an event when they begin and one when they end. Where the second is not
  there, the run may still wait, or have stopped wanting it, which has no event; what the run says it waits for tells.
* What a failed run had done at its end and does once more since it was retried is *superseded*.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from keepstep.journal import Error, Event, Status
from keepstep.runtime import history
from keepstep.runtime.data import decode_failure
from keepstep.worker.words import Wait

from .forking import names_in
from .info import RunInfo, moment

OPEN = "open"
ABANDONED = "abandoned"
"""The code stopped wanting it, or the run ended before it."""

_UNDO = re.compile(r"(?:^|/)undo\(\)(?:#\d+)?/")
"""The task in which a saga undoes (``runtime.saga.undo``) is part of the keys of what it does."""

_TASK = re.compile(r"(?:^|/)human_task:(?P<title>.*?)(?:#\d+)?$", re.DOTALL)


class Span(msgspec.Struct, kw_only=True):
    """One thing that a run has done, or is at."""

    key: str
    """Of the operation; made up where it has none."""
    kind: str
    """step, undo, timer, signal, child, callback, task, update, version, note, message, condition, handler or queue."""
    name: str
    asked_at: datetime | None = None
    """When the code asked for it."""
    started_at: datetime | None = None
    """When it was recorded as begun; of a step, when its first attempt began, while it is not over."""
    ended_at: datetime | None = None
    outcome: str = OPEN
    """open, completed, failed, cancelled …, uncertain, undo_exhausted, or abandoned."""
    attempts: int = 0
    next_attempt_at: datetime | None = None
    until: datetime | None = None
    """When a timer fires."""
    error: str | None = None
    asked_seq: int = 0
    """Seq of the event during whose delivery the code asked; 0 if unknown, or before the stretch that is looked at."""
    seq: int = 0
    """Of the event with which it ends or, until then, begins; 0 if it has none yet."""
    run_id: str = ""
    """Of a child."""
    resolved_by: str = ""
    """Who has said what became of an uncertain step."""
    superseded: bool = False


def timeline_of(info: RunInfo | None, events: Iterable[Event], times: Mapping[int, datetime]) -> list[Span]:
    """The spans of a stretch of a run's history.

    :param info: of the run, if the stretch goes to the end of its history; what it waits for is there, too, then.
    :param times: of events before that stretch, during which something was asked for that ends in it.
    """
    timeline = Timeline(times)
    for event in events:
        timeline.add(event)
    if info is not None:
        timeline.finish(info)
    return timeline.spans


def asked_before(events: Sequence[Event]) -> list[int]:
    """Seqs of events before this stretch, during which something was asked for that ends in it."""
    first = events[0].seq if events else 0
    of_steps = [each for each in events if each.type in (history.STEP_COMPLETED, history.STEP_FAILED)]
    asked = {getattr(history.known_of(each.type, each.data), "asked_seq", 0) for each in of_steps}
    return sorted(seq for seq in asked if 0 < seq < first)


class Timeline:
    """See the module."""

    def __init__(self, times: Mapping[int, datetime]) -> None:
        self.spans: list[Span] = []
        self._open: dict[str, Span] = {}
        """Those that have begun and not ended, by key; updates by their ids."""
        self._by_seq: dict[int, Span] = {}
        self._times = dict(times)
        self._delivered = 0
        """The last event that the code was told of: what begins behind it was asked for while it was delivered."""

    def add(self, event: Event) -> None:
        """The next event."""
        self._times[event.seq] = moment(event.time)
        apply = _APPLY.get(event.type)
        if apply is not None:
            apply(self, event, history.known_of(event.type, event.data))
        if event.type not in _ASKED_BY_CODE:
            self._delivered = event.seq

    def finish(self, info: RunInfo) -> None:
        """There are no more events: what is open now?"""
        is_closed = info.status is not Status.RUNNING
        is_told = is_closed or (bool(info.waiting_for) and not info.detail.more)
        waits = {wait.key for wait in info.waiting_for}
        for key, span in self._open.items():
            if is_closed if span.kind == "update" else is_told and key not in waits:
                span.outcome = ABANDONED
        for wait in info.waiting_for:
            if wait.key not in self._open:
                self._wait(wait)

    # events

    def _step(self, event: Event, data: Any, outcome: str) -> None:
        key = event.key or ""
        asked_seq = 0 if data is None else data.asked_seq
        self._put(
            event,
            Span(
                key=key,
                kind="undo" if _UNDO.search(key) else "step",
                name=name_of(key),
                asked_at=self._times.get(asked_seq),
                asked_seq=asked_seq,
                ended_at=moment(event.time),
                outcome=outcome,
                attempts=1 if data is None else data.attempts,
                error=_error(getattr(data, "failure", b"")),
                resolved_by="" if data is None else data.resolved_by,
            ),
        )

    def _begin(self, event: Event, kind: str, name: str, *, id: str = "", **more: Any) -> None:
        began = moment(event.time)
        key = event.key or id or f"{event.type}/{event.seq}"
        span = Span(key=key, kind=kind, name=name, asked_at=began, started_at=began, asked_seq=self._delivered, **more)
        self._put(event, span)
        self._open[id or key] = span

    def _end(
        self, event: Event, kind: str, outcome: str, *, id: str = "", error: str | None = None, by: str = ""
    ) -> None:
        """What ends here may have begun before the stretch that is looked at."""
        key = id or event.key or ""
        span = self._open.pop(key, None)
        if span is None:
            span = Span(key=key, kind=kind, name=name_of(key))
            self.spans.append(span)
        span.ended_at, span.outcome, span.error, span.seq = moment(event.time), outcome, error, event.seq
        span.resolved_by = by
        self._by_seq[event.seq] = span

    def _point(self, event: Event, kind: str, name: str) -> None:
        """What takes no time."""
        at = moment(event.time)
        key = event.key or f"{event.type}/{event.seq}"
        self._put(event, Span(key=key, kind=kind, name=name, asked_at=at, ended_at=at, outcome="completed"))

    def _put(self, event: Event, span: Span) -> None:
        span.seq = event.seq
        self.spans.append(span)
        self._by_seq[event.seq] = span

    def _supersede(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            if seq in self._by_seq:
                self._by_seq[seq].superseded = True

    # waits

    def _wait(self, wait: Wait) -> None:
        """What is waited for and has no event."""
        since = moment(wait.since) if wait.since else None
        span = Span(
            key=wait.key or f"{wait.kind}/{wait.name}",
            kind=_kind_of(wait),
            name=wait.name or name_of(wait.key),
            asked_at=since,
            started_at=since,
            outcome=wait.parked or OPEN,
            attempts=wait.attempt,
            error=wait.error or None,
            run_id=wait.run_id,
        )
        if wait.until:
            if wait.kind == "step":
                span.next_attempt_at = moment(wait.until)
            else:
                span.until = moment(wait.until)
        self.spans.append(span)


def name_of(key: str) -> str:
    """The name of what has that key."""
    return list(names_in(key))[-1]


def _kind_of(wait: Wait) -> str:
    if wait.kind == "step" and _UNDO.search(wait.key):
        return "undo"
    return "task" if wait.kind == "human_task" else wait.kind


def _error(failure: bytes) -> str | None:
    if not failure:
        return None
    try:
        return decode_failure(failure).summary()
    except (Error, msgspec.DecodeError):
        return "an error that cannot be read here"


def _timer_started(timeline: Timeline, event: Event, data: Any) -> None:
    timeline._begin(event, "timer", name_of(event.key or ""), until=None if data is None else moment(data.fire_at))


def _callback_created(timeline: Timeline, event: Event, _: Any) -> None:
    key = event.key or ""
    task = _TASK.search(key)
    timeline._begin(event, "task" if task else "callback", task["title"] if task else name_of(key))


def _callback_failed(timeline: Timeline, event: Event, data: Any) -> None:
    error = _error(getattr(data, "failure", b""))
    timeline._end(event, "callback", "failed", error=error, by=getattr(data, "by", ""))


def _child_started(timeline: Timeline, event: Event, data: Any) -> None:
    timeline._begin(event, "child", name_of(event.key or ""), run_id="" if data is None else data.run_id)


def _child_refused(timeline: Timeline, event: Event, data: Any) -> None:
    which = "" if data is None else f" {data.workflow_id!r}"
    timeline._end(event, "child", "failed", error=f"a run of the id{which} is open already")


def _child_closed(timeline: Timeline, event: Event, data: Any) -> None:
    status = "closed" if data is None else str(data.status)
    error = _error(data.payload) if status == Status.FAILED else None
    timeline._end(event, "child", status, error=error)


def _update_accepted(timeline: Timeline, event: Event, data: Any) -> None:
    name, id = ("update", "") if data is None else (data.name, data.id)
    timeline._begin(event, "update", name, id=f"update/{id}")


def _update_ended(timeline: Timeline, event: Event, data: Any) -> None:
    failure = getattr(data, "failure", b"")
    outcome = "failed" if event.type == history.UPDATE_FAILED else "completed"
    id = "" if data is None else f"update/{data.id}"
    timeline._end(event, "update", outcome, id=id, error=_error(failure))


def _reopened(timeline: Timeline, event: Event, data: Any) -> None:
    if data is not None:
        timeline._supersede(data.superseded)


def _named(data: Any, field: str, otherwise: str) -> str:
    return otherwise if data is None else str(getattr(data, field))


_ASKED_BY_CODE = (
    history.TIMER_STARTED,
    history.CALLBACK_CREATED,
    history.CHILD_STARTED,
    history.VERSION_MARKED,
    history.MESSAGE_SENT,
    history.NOTE_ADDED,
    history.STREAM_WRITTEN,
    history.UPDATE_COMPLETED,
    history.UPDATE_FAILED,
)
"""Events that record what the code did; all others are told to it."""

_APPLY: dict[str, Callable[[Timeline, Event, Any], None]] = {
    history.STEP_COMPLETED: lambda timeline, event, data: timeline._step(event, data, "completed"),
    history.STEP_FAILED: lambda timeline, event, data: timeline._step(event, data, "failed"),
    history.TIMER_STARTED: _timer_started,
    history.TIMER_FIRED: lambda timeline, event, _: timeline._end(event, "timer", "completed"),
    history.SIGNAL_RECEIVED: lambda timeline, event, data: timeline._point(
        event, "signal", _named(data, "name", "signal")
    ),
    history.UPDATE_ACCEPTED: _update_accepted,
    history.UPDATE_COMPLETED: _update_ended,
    history.UPDATE_FAILED: _update_ended,
    history.CALLBACK_CREATED: _callback_created,
    history.CALLBACK_COMPLETED: lambda timeline, event, data: timeline._end(
        event, "callback", "completed", by=getattr(data, "by", "")
    ),
    history.CALLBACK_FAILED: _callback_failed,
    history.CHILD_STARTED: _child_started,
    history.CHILD_REFUSED: _child_refused,
    history.CHILD_CLOSED: _child_closed,
    history.VERSION_MARKED: lambda timeline, event, data: timeline._point(
        event, "version", _named(data, "name", "version")
    ),
    history.NOTE_ADDED: lambda timeline, event, data: timeline._point(event, "note", _named(data, "text", "note")),
    history.MESSAGE_SENT: lambda timeline, event, data: timeline._point(
        event, "message", _named(data, "workflow_id", "message")
    ),
    history.WORKFLOW_REOPENED: _reopened,
}
