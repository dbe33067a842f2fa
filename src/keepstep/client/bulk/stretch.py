"""Stretch: the runs that a bulk is for, as searches that are walked one after the other."""

from __future__ import annotations

import msgspec

from keepstep.journal import Condition, Status
from keepstep.journal.field import CLOSE_TIME, CONDITION, START_TIME, STATUS
from keepstep.journal.search import All, OneOf, Order, Predicate, Search, Within

PARKED = (Condition.QUARANTINED, Condition.COMPENSATING, Condition.UNCERTAIN)
"""Conditions in which a run may wait for a retry."""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """One search, in the order of starts and run ids."""

    search: Search
    began_at: int
    is_of_delayed: bool = False
    """Of runs whose start lies behind the bulk: those that were asked for before, and wait for their delay to be over.
    When they were asked for is in their ids."""
    of_continued: Predicate | None = None
    """Of runs that have continued: what the run must fit that goes on (``continued``). Most of them were met before,
    when they were open; what is done already is not told again."""


def open_runs(where: Predicate, began_at: int) -> tuple[Stretch, ...]:
    """Those that are open, those that are to begin later, and those that have continued since then."""
    later = All((OneOf(STATUS, (Status.RUNNING,)), where, Within(START_TIME, low=began_at, with_low=False)))
    continued = (OneOf(STATUS, (Status.CONTINUED,)), Within(CLOSE_TIME, low=began_at))
    return (
        Stretch(search=_search(began_at, OneOf(STATUS, (Status.RUNNING,)), where), began_at=began_at),
        Stretch(search=Search(later, (Order(START_TIME, descending=False),)), began_at=began_at, is_of_delayed=True),
        Stretch(search=_search(began_at, *continued), began_at=began_at, of_continued=where),
    )


def retriable_runs(where: Predicate, began_at: int) -> tuple[Stretch, ...]:
    """Those that are parked, and then those that had failed by then.

    In this order none is in both: a parked run that is retried, and fails, has failed later.
    """
    parked = (OneOf(STATUS, (Status.RUNNING,)), OneOf(CONDITION, PARKED))
    failed = (OneOf(STATUS, (Status.FAILED,)), Within(CLOSE_TIME, high=began_at))
    return tuple(Stretch(search=_search(began_at, *each, where), began_at=began_at) for each in (parked, failed))


def _search(began_at: int, *parts: Predicate) -> Search:
    """Conjunctions are joined into one, so that a store sees each of their parts when it chooses an index."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, All) else (part,))]
    fitting = All((*flat, Within(START_TIME, high=began_at)))
    return Search(fitting, (Order(START_TIME, descending=False),))
