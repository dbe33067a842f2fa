"""What a run waits for or why it is parked, as data that other processes can show without running its code.

Kept in ``Run.detail`` as JSON; read by ``describe()`` and ``keepstep show``.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Wait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a run waits for."""

    kind: str
    """signal, timer, step, callback, human_task, child, condition, handler, queue"""
    name: str = ""
    key: str = ""
    since: int = 0
    until: int = 0
    """When a timer fires or the next attempt begins; engine time, 0 if open."""
    attempt: int = 0
    """Of a step: the attempt that runs or comes next."""
    error: str = ""
    """Of a step: its last error, in one line."""
    parked: str = ""
    """Why a person is needed: ``uncertain`` or ``undo_exhausted``."""
    token: str = ""
    run_id: str = ""
    queue: str = ""
    before: int = 0
    """Of a queue: how many go first."""
    holder: str = ""
    """Of a queue: the id of a run that keeps it waiting, because it has the same fairness key."""
    is_paused: bool = False
    """Of a queue."""
    once: bool = False
    """Of a step: it was begun and must not be begun a second time."""


class Detail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of ``Run.detail``."""

    waits: tuple[Wait, ...] = ()
    more: int = 0
    """How many things it waits for beside these."""
    blocked: dict[str, Any] | None = None
    """The diff, as ``runtime.blocked.Diff``."""
    is_sealed: bool = False
    """Of a blocked run: nothing is wrong with it, but a key or a blob is missing."""
    because: str = ""
    """Of a run that is undoing what it did: why, in one line."""


def encode_detail(detail: Detail) -> bytes:
    return msgspec.json.encode(detail)


def decode_detail(data: bytes) -> Detail:
    """The detail of a run; an empty one for no bytes."""
    return msgspec.json.decode(data, type=Detail) if data else Detail()
