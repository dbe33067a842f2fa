"""Search: which runs are wanted, in which order, as the stores are asked.

A predicate is made of five words over fields that are known and values that fit them; a language of filters is turned
into it (``keepstep.search``), so that no store sees text that somebody typed.

Logic has two values. A comparison with a field that has no value is false, and so ``Not`` of it is true. Where a field
has several values, a comparison holds if it holds for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from . import field as fields
from .attribute import values_of
from .errors import AttributeRefused, InvalidInput
from .field import NAMED, START_TIME, Field, FieldType, Value
from .run import Condition, Run


class OneOf(msgspec.Struct, frozen=True, tag=True):
    """The field has one of these values."""

    field: Field
    values: tuple[Value, ...]


class Within(msgspec.Struct, frozen=True, tag=True):
    """The field lies between two values, of which one may be left open (None)."""

    field: Field
    low: Value | None = None
    high: Value | None = None
    with_low: bool = True
    with_high: bool = True


class Present(msgspec.Struct, frozen=True, tag=True):
    """The field has a value."""

    field: Field


class All(msgspec.Struct, frozen=True, tag=True):
    """Each of these holds; and so without any."""

    parts: tuple[Predicate, ...] = ()


class Either(msgspec.Struct, frozen=True, tag=True):
    """One of these holds."""

    parts: tuple[Predicate, ...]


class Not(msgspec.Struct, frozen=True, tag=True):
    """This does not hold."""

    part: Predicate


Predicate = OneOf | Within | Present | All | Either | Not

EVERYTHING = All()


class Order(msgspec.Struct, frozen=True):
    """By which field runs are sorted. Those without a value come last, whatever the direction."""

    field: Field
    descending: bool = True


class Search(msgspec.Struct, frozen=True):
    """Runs that are alike in all of ``order`` are sorted by start and then run id, in the direction of its last part:
    without any, the newest first."""

    where: Predicate = EVERYTHING
    order: tuple[Order, ...] = ()

    @property
    def descending(self) -> bool:
        """The direction in which runs are sorted that are alike."""
        return self.order[-1].descending if self.order else True

    @property
    def sorted_by(self) -> tuple[Order, ...]:
        """The order without what says only what holds anyway."""
        return () if len(self.order) == 1 and self.order[0].field == START_TIME else self.order


Place = tuple[Value | None, ...]
"""Where in its order a run stands: the value of each field of the order, its start, and its run id."""


class Page(msgspec.Struct, frozen=True, gc=False):
    """Runs that were found, and where to go on; None at the end.

    A page may hold fewer runs than were asked for, and even none, and still not be the last: a store looks at a bounded
    number of runs for one page.
    """

    runs: list[Run]
    after: Place | None


Group = tuple[Value | None, int]
"""A value of a field, and how many runs have it."""

GROUPED = (FieldType.KEYWORD, FieldType.KEYWORD_LIST, FieldType.INT, FieldType.BOOL, *NAMED)
"""Types by whose values runs are counted: those of which many runs may have the same."""

UNGROUPED = (fields.RUN_ID, fields.PARENT_ID, fields.HISTORY_LENGTH)
"""Fields that are different for each run, or another run's."""


def groups_in_order(groups: Iterable[Group], field: Field, groups_max: int) -> list[Group]:
    """Most first, and those without a value at the end of those that are as many. Raises ``InvalidInput``."""
    found = [group for group in groups if group[1]]
    if len([value for value, _ in found if value is not None]) > groups_max:
        raise InvalidInput(
            f"the runs have more than {groups_max:,} values of {field.name}; narrow the filter, or count by another "
            "field"
        )
    return sorted(found, key=lambda each: (-each[1], each[0] is None, each[0] if each[0] is not None else 0))


Values = Callable[[Field], Sequence[Value]]
"""The values of a field of what is looked at; none if it has none."""


def holds(predicate: Predicate, values: Values) -> bool:
    """Whether something fits."""
    match predicate:
        case OneOf(field, wanted):
            return any(value in wanted for value in values(field))
        case Within():
            return any(_lies_within(predicate, value) for value in values(predicate.field))
        case Present(field):
            return bool(values(field))
        case All(parts):
            return all(holds(part, values) for part in parts)
        case Either(parts):
            return any(holds(part, values) for part in parts)
        case Not(part):
            return not holds(part, values)


def _lies_within(bounds: Within, value: Value) -> bool:
    low, high = bounds.low, bounds.high
    if low is not None and not (low < value or (bounds.with_low and low == value)):  # type: ignore[operator]
        return False
    return high is None or value < high or (bounds.with_high and value == high)  # type: ignore[operator]


def values_in(run: Run, field: Field) -> tuple[Value, ...]:
    """The values that a run has of a field, but for ``ParentWorkflowId``, which it does not know."""
    if field.is_attribute:
        try:
            return values_of(field.name, field.type, run.attributes.get(field.name))
        except AttributeRefused:  # it is older than the attribute's type
            return ()
    value = _BUILT_IN[field](run)
    return () if value is None else (value,)


_BUILT_IN: dict[Field, Callable[[Run], Value | None]] = {
    fields.WORKFLOW_ID: lambda run: run.workflow_id,
    fields.RUN_ID: lambda run: run.run_id,
    fields.WORKFLOW_TYPE: lambda run: run.type,
    fields.STATUS: lambda run: run.status,
    fields.CONDITION: lambda run: None if run.condition is Condition.NONE else run.condition,
    fields.START_TIME: lambda run: run.started_at,
    fields.CLOSE_TIME: lambda run: run.closed_at or None,
    fields.DURATION: lambda run: run.closed_at - run.started_at if run.closed_at else None,
    fields.QUEUE: lambda run: run.queue,
    fields.LANGUAGE: lambda run: run.language,
    fields.HISTORY_LENGTH: lambda run: run.last_seq,
    fields.PARENT_RUN_ID: lambda run: run.parent_run_id,
}


def place_of(run: Run, search: Search) -> Place:
    """Where in the order of a search a run stands."""
    keys = [next(iter(values_in(run, each.field)), None) for each in search.sorted_by]
    return (*keys, run.started_at, run.run_id)


def in_order(runs: Sequence[Run], search: Search) -> list[Run]:
    """Runs as a search wants them sorted."""
    ordered = sorted(runs, key=lambda run: (run.started_at, run.run_id), reverse=search.descending)
    for each in reversed(search.sorted_by):
        with_value = [run for run in ordered if values_in(run, each.field)]
        without = [run for run in ordered if not values_in(run, each.field)]
        with_value.sort(key=lambda run, field=each.field: values_in(run, field), reverse=each.descending)  # type: ignore
        ordered = with_value + without
    return ordered


def is_behind(run: Run, place: Place, search: Search) -> bool:
    """Whether a run comes after a place."""
    here = place_of(run, search)
    directions = [*(each.descending for each in search.sorted_by), search.descending, search.descending]
    for value, other, descending in zip(here, place, directions, strict=True):
        if value == other:
            continue
        if value is None or other is None:
            return value is None
        return bool(value < other) if descending else bool(value > other)  # type: ignore[operator]
    return False
