"""Remote work: what a step's task on a queue says to whoever executes it."""

from __future__ import annotations

from typing import Any

import msgspec

from keepstep.journal import Task

from .attempt import AttemptRecord


class RemoteWork(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The data of a step's task. The name, arguments and options come from the run, the rest from earlier attempts."""

    step: str
    arguments: bytes
    workflow_id: str
    options: dict[str, Any] | None = None
    """What ``options(...)`` has changed, as ``published_options`` writes it."""
    record: AttemptRecord = AttemptRecord()
    put_back_at: int = 0
    """The task's epoch when a worker last put it back; since then it has grown by two with each death of an owner."""
    offered_at: int = 0
    """Engine time at which the run's owner made the task; 0 where an older version did."""

    def waited_seconds(self, task: Task, now: int) -> float | None:
        """How long it could have been taken before it was, as far as that is known."""
        since = max(self.offered_at, task.visible_at)
        return max(now - since, 0) / 1e6 if since else None

    def deaths(self, task: Task) -> int:
        """How many workers have died with the task since then."""
        return (task.token.epoch - self.put_back_at - 1) // 2


class RemoteWorkWithHeaders(RemoteWork, frozen=True, array_like=True, gc=False):
    """What is written where the step has headers, and read everywhere."""

    headers: dict[str, str] | None = None
