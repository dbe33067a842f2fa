"""Listing: runs by what the journal itself asks for, as whole pages of a search by start."""

from __future__ import annotations

from collections.abc import Sequence

from keepstep.journal.field import CONDITION, STATUS, WORKFLOW_TYPE
from keepstep.journal.run import Condition, Run, Status
from keepstep.journal.search import All, Either, Not, OneOf, Place, Predicate, Present, Search

from .plan import Found, search


def list_runs(
    found: Found,
    statuses: Sequence[Status],
    conditions: Sequence[Condition],
    types: Sequence[str],
    before: tuple[int, str] | None,
    limit: int,
) -> list[Run]:
    """The newest runs before a place; fewer than ``limit`` only at the end."""
    wanted = Search(predicate_of(statuses, conditions, types))
    runs: list[Run] = []
    after: Place | None = before
    while len(runs) < limit:
        page = search(found, wanted, after, limit - len(runs))
        runs += page.runs
        after = page.after
        if after is None:
            break
    return runs


def predicate_of(statuses: Sequence[Status], conditions: Sequence[Condition], types: Sequence[str]) -> Predicate:
    """What fits; nothing of a kind means: any."""
    parts: list[Predicate] = []
    if statuses:
        parts.append(OneOf(STATUS, tuple(dict.fromkeys(statuses))))
    if types:
        parts.append(OneOf(WORKFLOW_TYPE, tuple(dict.fromkeys(types))))
    if conditions:
        named = OneOf(CONDITION, tuple(dict.fromkeys(each for each in conditions if each is not Condition.NONE)))
        has_none = Condition.NONE in conditions
        parts.append(Either((named, Not(Present(CONDITION)))) if has_none else named)
    return All(tuple(parts))
