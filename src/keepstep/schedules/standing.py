"""Standing: where a schedule is. It lies in its run's ``detail``, which travels with every claim: nothing else is read.

All of it is bounded: one run at most is waited for, ``BUFFERED_MAX`` firings wait, ``RECENT_MAX`` are remembered.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from keepstep.journal import Event, Run, Unreadable, cell_of

from .overlap import Overlap
from .plan import Action, Plan, decode_opening

BUFFERED_MAX = 1000
RECENT_MAX = 10
ASKED_MAX = 1000
"""Triggers and backfills that have not been begun."""
INLINE_ARGUMENTS_MAX = 4096
"""Arguments of so many bytes are part of the standing; longer ones stay in the history."""


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A firing that has not started its run."""

    nominal: int
    due: int
    overlap: Overlap
    id: str = ""
    """Of its run, if that is not made of the nominal time."""
    by_hand: bool = False


class Backfill(msgspec.Struct, frozen=True):
    """Firings after one moment and up to another that are to be made up."""

    after: int
    end: int
    overlap: Overlap


class Running(msgspec.Struct, frozen=True):
    """A run that has been started and that overlapping firings have to mind."""

    id: str
    run_id: str


class Firing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A firing that has started its run, or was refused to."""

    nominal: int
    due: int
    started: int
    id: str
    run_id: str
    outcome: str = ""
    """The status with which its run was closed, as far as it was told; ``EXISTS`` if it was not started."""


EXISTS = "exists"
"""There was a run of that id already, and nothing was started."""


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """See the module."""

    plan: Plan
    plan_seq: int
    """Seq of the event that brought the plan."""
    after: int
    """Firings up to this nominal time have been dealt with."""
    left: int | None = None
    """How many runs the calendar may still start; None for any number."""
    paused: bool = False
    note: str = ""
    running: tuple[Running, ...] = ()
    buffered: tuple[Pending, ...] = ()
    asked: tuple[Pending, ...] = ()
    backfills: tuple[Backfill, ...] = ()
    recent: tuple[Firing, ...] = ()
    started: int = 0
    skipped: int = 0
    """Because of overlap."""
    missed: int = 0
    """Because they were late by more than the catch-up window."""
    refused: int = 0
    """Because their run was there."""
    pages: int = 0
    """How many its diary has had."""


def first_standing(event: Event, created_at: int) -> Standing:
    """Where a schedule is that has just been created."""
    opening = decode_opening(event.data)
    return Standing(
        plan=slim(opening.plan),
        plan_seq=event.seq,
        after=created_at,
        left=opening.plan.limit,
        paused=opening.paused,
        note=opening.note,
    )


def slim(plan: Plan) -> Plan:
    """A plan as a standing has it."""
    if len(plan.action.arguments) <= INLINE_ARGUMENTS_MAX:
        return plan
    return msgspec.structs.replace(plan, action=msgspec.structs.replace(plan.action, arguments=b""))


def has_arguments(action: Action) -> bool:
    """Whether they need not be read; sealed ones are never empty."""
    return bool(action.arguments)


def encode_standing(standing: Standing) -> bytes:
    return msgspec.json.encode(standing)


def standing_of(run: Run) -> Standing | None:
    """None if nobody has written one yet: the schedule has just been created. Raises ``Unreadable``."""
    cell = cell_of(run.detail)
    if cell is not None:
        raise Unreadable(
            f"schedule {run.workflow_id!r} is {cell}, which cannot be read here; give the engine its codec"
        )
    return msgspec.json.decode(run.detail, type=Standing) if run.detail else None


def firing_id(schedule: str, nominal: int) -> str:
    """The workflow id of the run that a firing starts; there can be only one."""
    seconds, rest = divmod(nominal, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{schedule}-{text}{f'.{rest:06d}' if rest else ''}Z"
