"""Plan: what a schedule was told to do: when to fire, what to start, and what to do about the unusual."""

from __future__ import annotations

from typing import Any

import msgspec

from keepstep.journal import Unreadable, cell_of

from .overlap import Overlap
from .spec import Spec


class Action(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a firing starts."""

    type: str
    arguments: bytes
    """Sealed. Empty in a standing if they are large; then they are read from the event that brought the plan."""
    queue: str | None = None
    """Overrides the workflow's own."""
    priority: int | None = None
    fairness_key: str | None = None
    offered_on: str = ""
    """Where its runs are offered if whoever fires does not have its code."""
    timeout: float | None = None
    """In seconds; overrides the workflow's own."""
    published_timeout: float | None = None
    version: str = ""
    attributes: dict[str, Any] = {}
    headers: dict[str, str] = {}
    """What interceptors gave to it when the schedule was made: its runs carry them."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """See the module. ``catchup`` is in microseconds."""

    spec: Spec
    action: Action
    overlap: Overlap
    catchup: int
    limit: int | None = None
    """So many runs are started by the calendar."""


CREATED = "schedule_created"
UPDATED = "schedule_updated"
"""Events of a schedule's history, with an opening each. Nothing else is written into it, so that it stays short."""


class Opening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Data of both events. The pause and the note are those of a creation."""

    plan: Plan
    paused: bool = False
    note: str = ""


def encode_opening(opening: Opening) -> bytes:
    return msgspec.msgpack.encode(opening)


def decode_opening(data: bytes) -> Opening:
    cell = cell_of(data)
    if cell is not None:
        raise Unreadable(f"the plan of a schedule is {cell}, which cannot be read here; give the engine its codec")
    return msgspec.msgpack.decode(data, type=Opening)
