"""Sought: whether a search that a client has made of fields and values is one that stores can be asked.

A filter that is read here (``keepstep.search``) always is. One that comes over the wire is held against the same rules:
its fields are built in or of this namespace, and its values are of their types.
"""

from __future__ import annotations

from collections.abc import Collection

from keepstep.journal import Condition, InvalidInput, Journal, Status
from keepstep.journal.attribute import INT_MAX, INT_MIN
from keepstep.journal.field import BUILT_IN, NAMED, UNSORTED, Field, FieldType, Value
from keepstep.journal.search import (
    GROUPED,
    UNGROUPED,
    All,
    Either,
    Not,
    OneOf,
    Place,
    Predicate,
    Present,
    Search,
    Within,
)

DEPTH_MAX = 50
PARTS_MAX = 2_000
"""Of all of a search: comparisons, and values that they compare with."""

_TEXTS = (FieldType.KEYWORD, FieldType.KEYWORD_LIST, FieldType.STATUS, FieldType.CONDITION)
_STATUSES = frozenset(each.value for each in Status)
_CONDITIONS = frozenset(each.value for each in Condition) - {""}


async def fields_of(journal: Journal, namespace: str) -> frozenset[Field]:
    """What runs of a namespace can be searched by."""
    attributes = await journal.list_attributes(namespace)
    return frozenset(BUILT_IN) | {Field(each.name, each.type, True) for each in attributes}


def check_search(search: Search, after: Place | None, known: Collection[Field]) -> None:
    """Raises ``InvalidInput``."""
    check_predicate(search.where, known)
    if len(search.order) > len(known):
        raise InvalidInput("the order of a search names more fields than there are")
    for each in search.order:
        _check_field(each.field, known)
        if each.field in UNSORTED or each.field.type is FieldType.KEYWORD_LIST:
            raise InvalidInput(f"runs cannot be sorted by {each.field.name}")
    if after is not None:
        _check_place(after, search)


def check_predicate(where: Predicate, known: Collection[Field]) -> None:
    """Raises ``InvalidInput``."""
    parts, depth, left = [where], 0, PARTS_MAX
    while parts:
        depth += 1
        left -= len(parts) + sum(len(each.values) for each in parts if isinstance(each, OneOf))
        if depth > DEPTH_MAX or left < 0:
            raise InvalidInput(f"a search is nested at most {DEPTH_MAX} deep and has at most {PARTS_MAX:,} parts")
        parts = [inner for each in parts for inner in _checked(each, known)]


def check_grouping(field: Field, known: Collection[Field]) -> None:
    """Raises ``InvalidInput``."""
    _check_field(field, known)
    if field.type not in GROUPED or field in UNGROUPED:
        raise InvalidInput(f"runs cannot be counted by {field.name}")


def _checked(part: Predicate, known: Collection[Field]) -> tuple[Predicate, ...]:
    """What a part consists of, if it is one itself."""
    match part:
        case All(parts) | Either(parts):
            return parts
        case Not(inner):
            return (inner,)
        case Present(field):
            _check_field(field, known)
        case OneOf(field, values):
            _check_field(field, known)
            for value in values:
                _check_value(value, field)
        case Within(field, low, high):
            _check_field(field, known)
            if field.type in NAMED:
                raise InvalidInput(f"{field.name} has no order, and so no bounds")
            for bound in (low, high):
                if bound is not None:
                    _check_value(bound, field)
    return ()


def _check_field(field: Field, known: Collection[Field]) -> None:
    if field not in known:
        raise InvalidInput(f"runs of this namespace have no field {field.name!r:.100} of the type {field.type.value}")


def _check_value(value: Value, field: Field) -> None:
    names = {FieldType.STATUS: _STATUSES, FieldType.CONDITION: _CONDITIONS}.get(field.type)
    if not _fits(value, field.type) or (names is not None and value not in names):
        raise InvalidInput(f"{field.name} cannot be compared with {value!r:.60}")


def _fits(value: object, type_: FieldType) -> bool:
    if type_ in _TEXTS:
        return isinstance(value, str) and "\0" not in value
    if type_ is FieldType.DOUBLE and isinstance(value, float):
        return True
    return type(value) is int and INT_MIN <= value <= INT_MAX


def _check_place(after: Place, search: Search) -> None:
    fields = [each.field for each in search.sorted_by]
    *values, started, run_id = after if len(after) >= 2 else (None, None)
    fits = len(values) == len(fields) and _fits(started, FieldType.INT) and _fits(run_id, FieldType.KEYWORD)
    pairs = zip(values, fields, strict=False)
    if not fits or not all(value is None or _fits(value, field.type) for value, field in pairs):
        raise InvalidInput("the place does not fit the order of the search; begin with the first page again")
