"""Summary: a run, and what it waits for, as the API tells of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from keepstep.client.info import RunInfo, moment
from keepstep.journal import Condition, Status
from keepstep.worker.words import Wait


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a run waits for."""

    kind: str
    """signal, timer, step, callback, human_task, child, condition, handler or queue."""
    name: str
    key: str
    since: datetime | None
    until: datetime | None
    """When a timer fires or the next attempt begins."""
    attempt: int
    """Of a step: the attempt that is at work or comes next."""
    error: str
    """Of a step: its last error."""
    parked: str
    """Why a person is needed: uncertain or undo_exhausted."""
    token: str
    """Of a callback or a task for a person: what completes it."""
    run_id: str
    """Of a child."""
    queue: str
    before: int
    """Of a queue: how many go first."""
    holder: str
    """Of a queue: the id of a run that keeps it waiting."""
    is_paused: bool
    """Of a queue."""
    once: bool
    """Of a step: it was begun and must not be begun a second time."""

    @classmethod
    def of(cls, wait: Wait) -> Waiting:
        return cls(
            kind=wait.kind,
            name=wait.name,
            key=wait.key,
            since=moment(wait.since) if wait.since else None,
            until=moment(wait.until) if wait.until else None,
            attempt=wait.attempt,
            error=wait.error,
            parked=wait.parked,
            token=wait.token,
            run_id=wait.run_id,
            queue=wait.queue,
            before=wait.before,
            holder=wait.holder,
            is_paused=wait.is_paused,
            once=wait.once,
        )


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it was when asked."""

    id: str
    """The workflow id."""
    run_id: str
    type: str
    """The workflow's name."""
    status: Status
    condition: Condition
    """What a running run is doing, where that is not simply going on."""
    waiting_for: list[Waiting]
    started_at: datetime
    closed_at: datetime | None
    attributes: dict[str, Any]
    error: str | None
    """Why it failed, is blocked, or was ended, in one line."""
    status_text: str
    """What it says of itself."""
    queue: str
    version: str
    """The version of its code that it stays with; empty if it goes on with the newest."""
    namespace: str
    parent_run_id: str | None
    events: int
    """Length of its history."""


def summary_of(info: RunInfo) -> RunSummary:
    """What the API tells of a run."""
    return RunSummary(**fields_of(info))


def fields_of(info: RunInfo) -> dict[str, Any]:
    """The fields of a summary, for what has more of them."""
    return {
        "id": info.id,
        "run_id": info.run_id,
        "type": info.type,
        "status": info.status,
        "condition": info.condition,
        "waiting_for": [Waiting.of(each) for each in info.waiting_for],
        "started_at": info.started_at,
        "closed_at": info.closed_at,
        "attributes": info.attributes,
        "error": info.error,
        "status_text": info.status_text,
        "queue": info.queue,
        "version": info.version,
        "namespace": info.namespace,
        "parent_run_id": info.parent_run_id,
        "events": info.events,
    }
