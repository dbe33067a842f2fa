"""Plan: along which index a page of a search is read, and how far.

Three ways, of which the first that will do is taken:

1. *Gathering.* Some part of the predicate, which all runs must fit, is served by an index, and few entries of it fit
   (``GATHERED_MAX``): all those are looked at, and sorted as wanted. Which part has the fewest is found by counting a
   few thousand entries of each.
2. *Walking.* The order is one that an index has: by start (within a status and type, a value of an attribute, or
   everything), by close, or by one attribute. Runs are looked at in that order until a page is full, or so many were
   looked at (``WALKED_MAX``): then the page is short, and the next one goes on there.
3. *Sorting.* Any other order wants all runs that fit. Of more than ``SORTED_MAX`` entries the search is refused, in
   words that say what to do, rather than to keep the database for minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Protocol

import msgspec

from keepstep.journal.errors import InvalidInput
from keepstep.journal.field import (
    CLOSE_TIME,
    CONDITION,
    PARENT_RUN_ID,
    RUN_ID,
    START_TIME,
    STATUS,
    WORKFLOW_ID,
    WORKFLOW_TYPE,
    Field,
    FieldType,
    Value,
)
from keepstep.journal.run import Condition, Run, Status
from keepstep.journal.search import (
    All,
    Not,
    OneOf,
    Order,
    Page,
    Place,
    Predicate,
    Present,
    Search,
    Within,
    in_order,
    place_of,
)

COUNTED_MAX = 10_000
"""Entries of an index that are counted to see whether they are few."""

GATHERED_MAX = 2_000
WALKED_MAX = 5_000
SORTED_MAX = 50_000

DRIVERS_MAX = 8
"""Indexes whose entries are counted."""

STRETCHES_MAX = 64
"""Walks that are merged for one page."""

LAST_RUN_ID = "\U0010ffff"
LAST_START = 1 << 62
"""Behind every run id, and every start."""

Test = OneOf | Within


class Driver(msgspec.Struct, frozen=True):
    """Entries of an index: those that fit these tests, which are about columns that it has in front."""

    index: str
    """``attribute``, or the name of an index of runs."""
    tests: tuple[Test, ...] = ()


EVERY_RUN = Driver("runs_newest")
CLOSED_RUNS = Driver("runs_retained")
BY_KIND = Driver("runs_of_kind")
"""Every run, by its status and type."""


class Walk(msgspec.Struct, frozen=True):
    """Entries of an index in its order: by ``field``, if there is one, and then by start, all in one direction.

    Where it is by start, only those within ``bounds`` of it.
    """

    driver: Driver
    field: Field | None
    descending: bool
    bounds: tuple[Within, ...] = ()


class Found(Protocol):
    """What a store must be able to answer, within one snapshot."""

    def count(self, driver: Driver, at_most: int) -> int:
        """How many entries a driver has; no more are counted than asked for."""
        ...

    def types(self, statuses: Sequence[Status], at_most: int) -> list[str]:
        """Types of workflows of which there are runs in one of these states; no more than asked for."""
        ...

    def gather(self, driver: Driver, search: Search, after: Place | None, limit: int) -> list[Run]:
        """The first runs of a driver that fit, behind a place."""
        ...

    def edge(self, walk: Walk, after: Place | None, entries: int) -> Place | None:
        """The values by which the walk is ordered, so many entries on; None if there are not so many. A walk by
        ``CloseTime`` may leave the start out, which its index does not have."""
        ...

    def follow(self, walk: Walk, where: Predicate, after: Place | None, until: Place | None, limit: int) -> list[Run]:
        """The first runs of a walk that fit, behind a place and up to an edge."""
        ...


def search(found: Found, wanted: Search, after: Place | None, limit: int) -> Page:
    """One page. Raises ``InvalidInput`` where the order cannot be had."""
    if limit <= 0:
        return Page([], after)
    counted = count_entries(found, wanted.where)
    if counted and counted[0][0] <= GATHERED_MAX:
        return _gather(found, counted[0][1], wanted, after, limit)
    drivers = [driver for _, driver in counted] + [EVERY_RUN]
    if not wanted.sorted_by:
        return _merge(found, _walks_by_start(found, wanted, drivers), wanted, after, limit)
    by = wanted.sorted_by[0]
    if len(wanted.sorted_by) == 1 and (by.field.is_attribute or by.field == CLOSE_TIME):
        return _walk_by_value(found, wanted, by, after, limit)
    return _sort(found, drivers[0], wanted, after, limit)


def count_entries(found: Found, where: Predicate) -> list[tuple[int, Driver]]:
    """The indexes that have all runs that fit, those with the fewest entries first, which are counted up to a limit."""
    counted = [(found.count(driver, COUNTED_MAX), driver) for driver in drivers_of(where)]
    return sorted(counted, key=lambda each: each[0])


def _gather(found: Found, driver: Driver, wanted: Search, after: Place | None, limit: int) -> Page:
    runs = in_order(found.gather(driver, wanted, after, limit), wanted)
    return Page(runs, place_of(runs[-1], wanted) if len(runs) == limit else None)


def _sort(found: Found, driver: Driver, wanted: Search, after: Place | None, limit: int) -> Page:
    if found.count(driver, SORTED_MAX + 1) > SORTED_MAX:
        names = ", ".join(each.field.name for each in wanted.order)
        raise InvalidInput(
            f"filter: ORDER BY {names} would have to look at more than {SORTED_MAX} runs at once; narrow the filter by "
            "an attribute, WorkflowType, Status or a stretch of StartTime, or order by StartTime, CloseTime or one "
            "attribute"
        )
    return _gather(found, driver, wanted, after, limit)


# Which parts of a predicate an index serves.


def drivers_of(where: Predicate) -> Iterator[Driver]:
    """Indexes that have all runs that fit, each with what it can tell of them."""
    return islice(_drivers_of(list(_tests(where))), DRIVERS_MAX)


def _drivers_of(tests: Sequence[Test]) -> Iterator[Driver]:
    kinds = tuple(test for test in tests if isinstance(test, OneOf) and test.field in (STATUS, WORKFLOW_TYPE))
    if kinds:
        yield Driver("runs_of_kind", _kinds(kinds))
    for test in tests:
        if test.field.is_attribute:
            yield Driver("attribute", (test,))
        elif test.field in _INDEXES and not (isinstance(test, OneOf) and Condition.WAITING in test.values):
            yield Driver(_INDEXES[test.field], (test,))


_INDEXES = {
    WORKFLOW_ID: "runs_of_workflow",
    RUN_ID: "runs_by_id",
    PARENT_RUN_ID: "runs_of_parent",
    CONDITION: "runs_of_condition",
    START_TIME: "runs_newest",
    CLOSE_TIME: "runs_retained",
}
"""That of conditions leaves out the ordinary one."""


def _tests(where: Predicate) -> Iterator[Test]:
    if isinstance(where, All):
        for part in where.parts:
            yield from _tests(part)
    elif isinstance(where, OneOf | Within):
        yield where


def _kinds(tests: Sequence[OneOf]) -> tuple[OneOf, ...]:
    """A test of the status, which the index has in front, and perhaps one of the type: what several say together."""
    together: dict[Field, tuple[Value, ...]] = {STATUS: tuple(Status)}
    for test in tests:
        before = together.get(test.field, test.values)
        together[test.field] = tuple(value for value in before if value in test.values)
    return tuple(OneOf(field, values) for field, values in together.items())


# Walking by start.


def _walks_by_start(found: Found, wanted: Search, drivers: Sequence[Driver]) -> list[Walk]:
    """Stretches of indexes that are ordered by start and together have all runs that fit, each of them once."""
    stretches = next(filter(None, (_stretches(found, driver) for driver in drivers)))
    bounds = tuple(test for test in _tests(wanted.where) if isinstance(test, Within) and test.field == START_TIME)
    return [Walk(stretch, None, wanted.descending, bounds) for stretch in stretches]


def _stretches(found: Found, driver: Driver) -> list[Driver]:
    """What there is to walk of an index by start; nothing where it is not ordered so, or is in too many pieces."""
    stretches: list[Driver] = []
    if driver == EVERY_RUN:
        stretches = [EVERY_RUN]
    elif driver.index == "runs_of_kind":
        stretches = _stretches_of_kinds(found, driver)
    elif driver.index in ("attribute", "runs_of_condition"):
        stretches = _stretches_of_values(driver.tests[0])
    return stretches if len(stretches) <= STRETCHES_MAX else []


def _stretches_of_values(test: Test) -> list[Driver]:
    """One for each value; none where a run may be in several of them, or where they are not named."""
    if not isinstance(test, OneOf) or (test.field.type is FieldType.KEYWORD_LIST and len(test.values) > 1):
        return []
    index = "attribute" if test.field.is_attribute else _INDEXES[test.field]
    return [Driver(index, (OneOf(test.field, (value,)),)) for value in test.values]


def _stretches_of_kinds(found: Found, driver: Driver) -> list[Driver]:
    tests = {test.field: test.values for test in driver.tests if isinstance(test, OneOf)}
    statuses = tests[STATUS]
    types = tests.get(WORKFLOW_TYPE)
    if types is None:
        types = tuple(found.types([Status(str(each)) for each in statuses], STRETCHES_MAX + 1))
    return [
        Driver(driver.index, (OneOf(STATUS, (status,)), OneOf(WORKFLOW_TYPE, (type_,))))
        for status, type_ in product(statuses, types)
    ]


def _merge(found: Found, walks: Sequence[Walk], wanted: Search, after: Place | None, limit: int) -> Page:
    """A page out of several walks, as far as all of them have been followed."""
    entries = max(WALKED_MAX // max(len(walks), 1), limit)
    runs: list[Run] = []
    edge: Place | None = None
    for walk in walks:
        until = found.edge(walk, after, entries)
        runs += found.follow(walk, wanted.where, after, until, limit)
        if until is not None and (edge is None or (until > edge) == walk.descending):
            edge = until
    ordered = in_order(runs, wanted)
    if edge is not None:
        (last,) = edge
        ordered = [run for run in ordered if _is_within(run.started_at, last, wanted.descending)]
    if len(ordered) >= limit:
        return Page(ordered[:limit], place_of(ordered[limit - 1], wanted))
    return Page(ordered, None if edge is None else (*edge, end_of(wanted.descending)))


def _is_within(started_at: int, last: Value | None, descending: bool) -> bool:
    assert isinstance(last, int)
    return started_at >= last if descending else started_at <= last


def end_of(descending: bool) -> str:
    """Behind the run ids of all that started at the same moment."""
    return "" if descending else LAST_RUN_ID


# Walking by a value.


def _walk_by_value(found: Found, wanted: Search, by: Order, after: Place | None, limit: int) -> Page:
    """First those that have a value, in its order, and then those without, by start."""
    runs: list[Run] = []
    if after is None or after[0] is not None:
        page = _walk_values(found, wanted, by, after, limit)
        if page.after is not None:
            return page
        runs, after = page.runs, None
    else:
        after = None if after[1] is None else after[1:]
    has_none = OneOf(STATUS, (Status.RUNNING,)) if by.field == CLOSE_TIME else Not(Present(by.field))
    rest = Search(All((wanted.where, has_none)), (Order(START_TIME, by.descending),))
    if len(runs) == limit:
        return Page(runs, (None, None, None))
    page = search(found, rest, after, limit - len(runs))
    return Page(runs + page.runs, None if page.after is None else (None, *page.after))


def _walk_values(found: Found, wanted: Search, by: Order, after: Place | None, limit: int) -> Page:
    walk = Walk(_driver_by_value(wanted.where, by.field), by.field, by.descending)
    until = found.edge(walk, after, WALKED_MAX)
    runs = in_order(found.follow(walk, wanted.where, after, until, limit), wanted)
    if len(runs) == limit:
        return Page(runs, place_of(runs[-1], wanted))
    if until is None:
        return Page(runs, None)
    started = until[1:] or (0 if by.descending else LAST_START,)
    return Page(runs, (until[0], *started, end_of(by.descending)))


def _driver_by_value(where: Predicate, field: Field) -> Driver:
    """All entries of the index, or only those within what the predicate says of the field."""
    bounds = [test for test in _tests(where) if isinstance(test, Within) and test.field == field]
    index = "attribute" if field.is_attribute else CLOSED_RUNS.index
    return Driver(index, tuple(bounds[:1]) or (Within(field),))
