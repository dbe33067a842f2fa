"""RunInfo: a run as callers see it, and its history in words that need no code of the run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from keepstep.journal import Condition, Error, Event, Journal, Run, Status, Unreadable, cell_of, unseal
from keepstep.runtime import history
from keepstep.runtime.code_version import pinned_queue, split_queue
from keepstep.runtime.data import decode_failure
from keepstep.runtime.heard import ids_heard
from keepstep.worker.words import Detail, Wait, decode_detail


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it was when asked. Times are aware and in UTC."""

    id: str
    """The workflow id."""
    run_id: str
    type: str
    status: Status
    condition: Condition
    waiting_for: tuple[Wait, ...]
    started_at: datetime
    closed_at: datetime | None
    attributes: dict[str, Any]
    error: str | None
    """Of a failed run: its error, in one line. Of a blocked run: the diff. Of one that was ended: the reason given."""
    status_text: str
    queue: str
    version: str
    """The version of its code that it stays with; empty if it goes on with the newest."""
    namespace: str
    parent_run_id: str | None
    events: int
    """Length of the history."""
    detail: Detail

    @property
    def offered_on(self) -> str:
        """The queue on which workers find it."""
        return pinned_queue(self.queue, self.type, self.version) if self.version else self.queue


class HistoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a history, decoded as far as it can be without the run's code."""

    seq: int
    type: str
    time: datetime
    key: str | None
    data: dict[str, Any]


def moment(microseconds: int) -> datetime:
    """Engine time as an aware datetime."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def run_info(run: Run, closing: Event | None) -> RunInfo:
    """What callers are told of a run; ``closing`` is its last event if it is closed."""
    detail, unreadable = Detail(), None
    queue, version = split_queue(run.queue, run.type)
    if run.status is Status.RUNNING:
        cell = cell_of(run.detail)
        try:
            if cell is None:
                detail = decode_detail(run.detail)
            else:
                unreadable = f"what it waits for is {cell}, which cannot be read here"
        except msgspec.MsgspecError as error:  # one damaged row must not hide all others
            unreadable = f"what it waits for cannot be read: {error}"
    return RunInfo(
        id=run.workflow_id,
        run_id=run.run_id,
        type=run.type,
        status=run.status,
        condition=run.condition,
        waiting_for=detail.waits,
        started_at=moment(run.started_at),
        closed_at=moment(run.closed_at) if run.closed_at else None,
        attributes=run.attributes,
        error=unreadable or _error(run, detail, closing),
        status_text=run.status_text,
        queue=queue,
        version=version or "",
        namespace=run.namespace,
        parent_run_id=run.parent_run_id,
        events=run.last_seq,
        detail=detail,
    )


async def queued_info(journal: Journal, run: Run) -> RunInfo:
    """What callers are told of a run that waits on its queue."""
    place = await journal.find_place(run.run_id)
    info = run_info(run, None)
    if place is None:  # it was admitted meanwhile
        return info
    wait = Wait(
        kind="queue",
        name=place.queue,
        queue=place.queue,
        key=place.fairness_key,
        until=place.not_before,
        before=place.before,
        holder=place.holder or "",
        is_paused=place.is_paused,
    )
    return msgspec.structs.replace(info, waiting_for=(wait,))


def _error(run: Run, detail: Detail, closing: Event | None) -> str | None:
    if detail.blocked is not None:
        return str(detail.blocked.get("summary", "blocked"))
    if closing is None:
        return None
    try:
        return _error_of_closed(run, closing)
    except Unreadable as error:  # one row must not hide all others
        return str(error)


def _error_of_closed(run: Run, closing: Event) -> str | None:
    if closing.type == history.WORKFLOW_FAILED:
        return decode_failure(history.unpack(closing.type, closing.data).failure).summary()
    if closing.type in (history.WORKFLOW_TERMINATED, history.WORKFLOW_CANCELLED):
        reason = history.unpack(closing.type, closing.data).reason
        return f"{run.status}: {reason}" if reason else None
    return None


def history_event(event: Event) -> HistoryEvent:
    """An event for people: payloads as plain JSON data, failures as text and traceback."""
    return HistoryEvent(
        seq=event.seq, type=event.type, time=moment(event.time), key=event.key, data=_data(event.type, event.data)
    )


def _data(type_: str, data: bytes) -> dict[str, Any]:
    cell = cell_of(data)
    if cell is not None:
        return {"bytes": len(data), "sealed": f"<{cell}>"}
    if type_ not in history.DATA:
        return {"bytes": len(data)}
    try:
        unpacked = history.unpack(type_, data)
    except msgspec.DecodeError as error:
        return {"bytes": len(data), "unreadable": str(error)}
    shown: dict[str, Any] = {}
    for name in unpacked.__struct_fields__:
        value = getattr(unpacked, name)
        if name in ("payload", "failure"):
            shown[name] = shown_payload(value)
        elif name == "payloads":
            shown[name] = list(map(shown_payload, value))
        elif name == "heard":
            shown |= {name: ids_heard(value)} if value else {}
        elif name not in ("digest", "seed") and value not in ("", 0, None, False):
            shown[name] = value
    return shown


def shown_payload(sealed: bytes) -> Any:
    """A value as plain JSON data, or what can be said of one that cannot be read."""
    try:
        payload = unseal(sealed)
        if payload.key_id:
            return f"<encrypted with key {payload.key_id!r}, {len(payload.content)} bytes>"
        if payload.encoding != "json":
            return f"<{payload.encoding}, {len(payload.content)} bytes>"
        return msgspec.json.decode(payload.content)
    except (Error, msgspec.DecodeError, UnicodeDecodeError):
        return f"<{len(sealed)} bytes>"
