"""Head: the part of a run that decisions need, as it will be once what is drawn is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .codes import RUNNING


class Head:
    """See the module. Made from a row of ``Tables.fetch_heads``."""

    __slots__ = (
        "attributes",
        "blocked_for",
        "bumps",
        "claimed_seq",
        "closed_at",
        "condition",
        "created",
        "detail",
        "dirty",
        "epoch",
        "has_tasks",
        "inbox_size",
        "known",
        "last_seq",
        "namespace",
        "owner",
        "run",
        "run_id",
        "status",
        "status_text",
        "strikes",
        "timer_at",
        "wake_at",
        "workflow_id",
    )

    def __init__(self, row: Sequence[Any]) -> None:
        (
            self.run,
            self.run_id,
            self.namespace,
            self.workflow_id,
            self.status,
            self.condition,
            self.owner,
            self.epoch,
            self.wake_at,
            self.claimed_seq,
            self.strikes,
            self.bumps,
            self.closed_at,
            self.blocked_for,
            self.last_seq,
            self.timer_at,
            self.inbox_size,
            self.has_tasks,
        ) = row
        # Written if changed; None leaves the row as it is.
        self.detail: bytes | None = None
        self.status_text: str | None = None
        self.attributes: str | None = None
        self.created: tuple[Any, ...] | None = None
        """The columns that never change, of a run whose row is still to be inserted."""
        self.dirty = False
        self.known: tuple[int, ...] | None = None
        """For the database's own use: by what it will know that the row is still as it was written last."""

    def is_open(self) -> bool:
        return bool(self.status == RUNNING)

    def version(self) -> int:
        return int(self.last_seq + self.bumps)

    def mutable(self) -> tuple[Any, ...]:
        return (
            self.status,
            self.condition,
            self.owner,
            self.epoch,
            self.wake_at,
            self.claimed_seq,
            self.strikes,
            self.bumps,
        )

    def clean(self) -> None:
        """The row is written."""
        self.dirty = False
        self.created = self.detail = self.status_text = self.attributes = None
