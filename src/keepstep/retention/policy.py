"""Policy: how long runs are kept by the status that they were closed with, and what has come of it.

A status without a rule is kept for ever, and so is everything where there is no policy: nothing is removed unasked.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from keepstep.journal import InvalidInput, Run, Status, Unreadable, cell_of
from keepstep.runtime.data import Duration, to_seconds

CLOSED = tuple(status for status in Status if status is not Status.RUNNING)
ALL = "all"
FOREVER = "forever"

LEFT_MAX = 100
"""Runs that are left out of sweeps because something is wrong with them. With more of a status, it stands still."""


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of one status."""

    keep: int
    """Microseconds from the run's close."""
    archive: str | None = None
    """Where it is kept from then on; None for nowhere."""


class Left(msgspec.Struct, frozen=True):
    """A run that could not be archived, and why."""

    run_id: str
    why: str


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rules, and how far they have been carried out. It lies in the ``detail`` of the policy's run."""

    rules: dict[Status, Rule] = {}
    removed: int = 0
    archived: int = 0
    swept_at: int = 0
    """When a sweep has last come to its end; 0 for never."""
    next_at: int = 0
    trouble: str = ""
    """Why the last sweep has not; "" if it has."""
    left: dict[Status, tuple[Left, ...]] = {}
    """What the last sweep, or the one under way, has left for something that is wrong with it."""


def read_statuses(status: str) -> tuple[Status, ...]:
    """What a rule is for. Raises ``InvalidInput``."""
    if status == ALL:
        return CLOSED
    if status not in CLOSED:
        known = ", ".join(each.value for each in CLOSED)
        raise InvalidInput(f"retention is set for {ALL}, or for one of {known}, not for {status!r:.60}")
    return (Status(status),)


def read_keep(keep: Duration | None) -> int | None:
    """Microseconds; None for ever. Raises ``InvalidInput``."""
    if keep is None or keep == FOREVER:
        return None
    try:
        return round(to_seconds(keep) * 1e6)
    except InvalidInput as error:
        raise InvalidInput(f'how long to keep: {error}, or "{FOREVER}"') from None


def with_rule(standing: Standing, statuses: tuple[Status, ...], rule: Rule | None) -> Standing:
    """The same with other rules. What was left for trouble is tried again."""
    rules = {status: each for status, each in standing.rules.items() if status not in statuses}
    if rule is not None:
        rules |= dict.fromkeys(statuses, rule)
    in_order = {status: rules[status] for status in CLOSED if status in rules}
    return msgspec.structs.replace(standing, rules=in_order, trouble="", left={})


def kept_for(rule: Rule | None) -> timedelta | None:
    """For people."""
    return None if rule is None else timedelta(microseconds=rule.keep)


def encode_standing(standing: Standing) -> bytes:
    return msgspec.json.encode(standing)


def standing_of(run: Run) -> Standing:
    """Raises ``Unreadable``."""
    cell = cell_of(run.detail)
    if cell is not None:
        raise Unreadable(f"a policy of retention is {cell}, which cannot be read here; give the engine its codec")
    return msgspec.json.decode(run.detail, type=Standing) if run.detail else Standing()
