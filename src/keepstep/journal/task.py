"""Task: work for a queue, "execute this step" or "advance this run"."""

from __future__ import annotations

import msgspec


class TaskToken(msgspec.Struct, frozen=True, gc=False):
    """Proof of owning a task: stale once the task was completed, dropped or taken over."""

    task_id: int
    epoch: int


class NewTask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task about to be put on a queue by a commit. ``key`` is unique within (run, kind)."""

    kind: str
    key: str
    queue: str
    data: bytes = b""
    priority: int = 0
    """Higher goes first."""
    fairness_key: str = ""
    fairness_weight: float = 1.0
    visible_at: int = 0
    deadline: int | None = None
    """Engine time after which the task is no longer handed out."""
    attempt: int = 1
    fallback_queue: str | None = None
    lease_id: str | None = None
    """Create the task already leased to this lease, when the committer does the work itself."""


class Task(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task that a worker has claimed."""

    token: TaskToken
    run_id: str
    workflow_id: str
    namespace: str
    kind: str
    key: str
    queue: str
    data: bytes
    priority: int
    visible_at: int
    deadline: int | None
    attempt: int


class TaskRef(msgspec.Struct, frozen=True, gc=False):
    """Names a task of a run, to drop it."""

    kind: str
    key: str
