"""Closed: a run that has ended, as whoever removes it has seen it; and one that comes back from outside."""

from __future__ import annotations

import msgspec


class ClosedRun(msgspec.Struct, frozen=True, gc=False):
    """Which run, and how it was when it was seen. One that was reopened since has another version."""

    run_id: str
    version: int
    closed_at: int
    last_seq: int
