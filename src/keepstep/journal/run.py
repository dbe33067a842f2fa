"""Run: one execution of a workflow, as the journal knows it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Status(StrEnum):
    """Where a run is in its life. Everything but ``RUNNING`` is closed and final, unless reopened."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    TIMED_OUT = "timed_out"
    CONTINUED = "continued"


class Condition(StrEnum):
    """What a running run is doing, where that is not simply "advancing"."""

    NONE = ""
    WAITING = "waiting"
    BLOCKED = "blocked"
    UNCERTAIN = "uncertain"
    PAUSED = "paused"
    QUARANTINED = "quarantined"
    COMPENSATING = "compensating"
    QUEUED = "queued"
    """It has not begun, and waits for its admission on a queue."""


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run as last read. Times are int64 UTC microseconds; 0 means "not yet"."""

    run_id: str
    """UUIDv7 in canonical text form; made by whoever starts the run."""
    workflow_id: str
    namespace: str
    shard: int
    language: str
    """Which room decides for this run: ``python``, ``states``, ``temporal`` …"""
    format: int
    """Format and capability of the history; a worker that understands less leaves the run alone."""
    type: str
    """The workflow's name."""
    queue: str
    status: Status
    condition: Condition
    detail: bytes
    """Why the run is in its condition or what it waits for, as the language wrote it; b"" for none."""
    version: int
    """Grows with every commit that changes the run. It equals the number of events plus the number of
    commits that appended no event."""
    last_seq: int
    epoch: int
    """The run lease's epoch: grows at every change of owner."""
    owner: str | None
    """The lease (``Lease.lease_id``) that owns the run, or None."""
    wake_at: int | None
    """When the run next wants a decider although no message has come; None for never."""
    started_at: int
    closed_at: int
    parent_run_id: str | None
    parent_key: str | None
    """The parent's key of the operation that started this run."""
    input_digest: bytes
    """Digest of type and input, by which a second start with the same id is compared."""
    attributes: dict[str, Any]
    status_text: str
    strikes: int
    """Claims after a crash of the owner without an event in between (see ``Journal.claim_runs``)."""
    continued_from: str | None
    """The run id of which this run is the continuation or restart."""


class ParentLink(msgspec.Struct, frozen=True, gc=False):
    """Which run, by which operation, started this one."""

    run_id: str
    key: str


class IfRunning(StrEnum):
    """What a start does when a run of that workflow id is open."""

    ATTACH = "attach"
    REJECT = "reject"
    RESTART = "restart"


IfClosed = IfRunning
"""What a start does when the newest run of that workflow id is closed; same three words."""
