"""Binding: a filter's names become fields and its values fit them, so that a store can be asked (``journal.search``).

A name is that of a built-in field as it is spelt, then that of an attribute as it is spelt, then that of a built-in
field whatever its capitals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from keepstep.journal import Condition as RunCondition
from keepstep.journal import InvalidInput
from keepstep.journal import Status as RunStatus
from keepstep.journal.attribute import INT_MAX, INT_MIN, is_plain
from keepstep.journal.field import ALIASES, BUILT_IN, NAMED, UNSORTED, Field, FieldType, Value
from keepstep.journal.moment import microseconds_of
from keepstep.journal.search import (
    EVERYTHING,
    GROUPED,
    UNGROUPED,
    All,
    Either,
    OneOf,
    Order,
    Predicate,
    Present,
    Search,
    Within,
)
from keepstep.journal.search import Not as NotPredicate
from keepstep.runtime.data import to_seconds

from .error import FilterError, did_you_mean
from .parser import parse
from .syntax import (
    And,
    Between,
    Comparison,
    Condition,
    Filter,
    IsNull,
    Literal,
    Membership,
    Name,
    Not,
    Now,
    Number,
    Or,
    StartsWith,
    Text,
    Truth,
)

_BUILT_IN = {field.name: field for field in BUILT_IN} | ALIASES
_STATUSES = {
    **{each.value: each for each in RunStatus},
    "canceled": RunStatus.CANCELLED,
    "timedout": RunStatus.TIMED_OUT,
    "continuedasnew": RunStatus.CONTINUED,
    "continued_as_new": RunStatus.CONTINUED,
}
"""Ours, and Temporal's."""

_CONDITIONS = {each.value: each for each in RunCondition if each.value}

_EXPECTED = {
    FieldType.KEYWORD: "text in quotes",
    FieldType.KEYWORD_LIST: "text in quotes",
    FieldType.INT: "a whole number of 64 bits",
    FieldType.DOUBLE: "a number",
    FieldType.BOOL: "TRUE or FALSE",
    FieldType.DATETIME: "a time in quotes, such as '2026-11-27T09:00:00Z' or '2026-11-27', or NOW - '2h'",
    FieldType.DURATION: "a duration in quotes, such as '90s' or '2h', or a number of seconds",
    FieldType.STATUS: f"one of {', '.join(repr(each.value) for each in RunStatus)}",
    FieldType.CONDITION: f"one of {', '.join(map(repr, _CONDITIONS))}",
}


class Vocabulary:
    """Which fields there are to search by."""

    def __init__(self, built_in: Mapping[str, Field], attributes: Mapping[str, FieldType]) -> None:
        self._fields = {name: Field(name, type, is_attribute=True) for name, type in attributes.items()} | dict(
            built_in
        )
        self._by_small_letters = {name.lower(): field for name, field in built_in.items()}
        self._shown = list(dict.fromkeys(field.name for field in built_in.values()))

    def find(self, name: str) -> Field | None:
        return self._fields.get(name) or self._by_small_letters.get(name.lower())

    def expected(self) -> str:
        attributes = [name for name, field in self._fields.items() if field.is_attribute]
        registered = f", or one of the attributes {', '.join(sorted(attributes)[:20])}" if attributes else ""
        return f"one of the fields {', '.join(self._shown)}{registered}"

    def names(self) -> Iterable[str]:
        return self._fields


def runs_vocabulary(attributes: Mapping[str, FieldType]) -> Vocabulary:
    """What runs are searched by."""
    return Vocabulary(_BUILT_IN, attributes)


def read_search(text: str | None, vocabulary: Vocabulary, now: int) -> Search:
    """What a filter's text asks for, at this time of the engine. Raises ``FilterError``, and ``InvalidInput`` for what
    is no text."""
    if text is not None and not isinstance(text, str):
        raise InvalidInput(f"a filter is text, such as \"Status = 'failed'\", not {text!r:.100}")
    return _Binder(text or "", vocabulary, now).bind()


def read_grouping(name: str, vocabulary: Vocabulary) -> Field:
    """The field of that name, if runs can be counted by its values. Raises ``FilterError``, ``InvalidInput``."""
    if not isinstance(name, str):
        raise InvalidInput(f'runs are counted by the name of a field, such as "Status", not by {name!r:.100}')
    field = vocabulary.find(name)
    if field is None:
        hint = did_you_mean(name, vocabulary.names())
        raise FilterError(name, 0, vocabulary.expected(), f"{name!r:.100}{hint}")
    if field.type not in GROUPED or field in UNGROUPED:
        raise FilterError(name, 0, "a field by whose values runs can be counted: text, whole numbers or names", name)
    return field


class _Binder:
    """See the module."""

    def __init__(self, text: str, vocabulary: Vocabulary, now: int) -> None:
        self._text = text
        self._vocabulary = vocabulary
        self._now = now
        self._filter: Filter = parse(text)

    def bind(self) -> Search:
        where = EVERYTHING if self._filter.where is None else self._predicate(self._filter.where)
        order = tuple(Order(self._sortable(each.name), each.descending) for each in self._filter.order)
        return Search(where, order)

    def _predicate(self, condition: Condition) -> Predicate:
        match condition:
            case And(parts):
                return All(tuple(self._predicate(part) for part in parts))
            case Or(parts):
                return Either(tuple(self._predicate(part) for part in parts))
            case Not(part):
                return NotPredicate(self._predicate(part))
            case IsNull(name, is_negated):
                there = Present(self._field(name))
                return there if is_negated else NotPredicate(there)
            case Comparison():
                return self._comparison(condition)
            case Membership(name, values, is_negated):
                field = self._field(name)
                return _unless(field, OneOf(field, self._values(field, values)), is_negated)
            case Between(name, low, high, is_negated):
                field = self._ordered(name, condition.offset)
                bounds = Within(field, self._value(field, low), self._value(field, high))
                return _unless(field, bounds, is_negated)
            case StartsWith(name, prefix, is_negated):
                return self._prefixed(name, prefix, is_negated, condition.offset)

    def _comparison(self, test: Comparison) -> Predicate:
        if test.operator in ("=", "!="):
            field = self._field(test.name)
            return _unless(field, OneOf(field, (self._value(field, test.value),)), test.operator == "!=")
        field = self._ordered(test.name, test.offset)
        value = self._value(field, test.value)
        match test.operator:
            case "<":
                return Within(field, high=value, with_high=False)
            case "<=":
                return Within(field, high=value)
            case ">":
                return Within(field, low=value, with_low=False)
            case _:
                return Within(field, low=value)

    def _prefixed(self, name: Name, prefix: Text, is_negated: bool, offset: int) -> Predicate:
        field = self._field(name)
        if field.type not in (FieldType.KEYWORD, FieldType.KEYWORD_LIST):
            raise self._error(offset, f"= or !=, because {field.name} is no text but {field.type}", "STARTS_WITH")
        self._value(field, prefix)
        bounds = Within(field, prefix.value, text_behind(prefix.value), with_high=False)
        return _unless(field, bounds, is_negated)

    # fields

    def _field(self, name: Name) -> Field:
        field = self._vocabulary.find(name.text)
        if field is None:
            hint = did_you_mean(name.text, self._vocabulary.names())
            raise self._error(name.offset, self._vocabulary.expected(), f"{name.text!r:.100}{hint}")
        return field

    def _ordered(self, name: Name, offset: int) -> Field:
        """A field of which one can be asked whether it is less than something."""
        field = self._field(name)
        if field.type in NAMED or field.type is FieldType.KEYWORD_LIST:
            raise self._error(offset, f"=, != or IN, because {field.name} ({field.type}) has no order")
        return field

    def _sortable(self, name: Name) -> Field:
        field = self._field(name)
        if field in UNSORTED or field.type is FieldType.KEYWORD_LIST:
            raise self._error(name.offset, "a field by which can be sorted", field.name)
        return field

    # values

    def _values(self, field: Field, literals: Iterable[Literal]) -> tuple[Value, ...]:
        return tuple(dict.fromkeys(self._value(field, literal) for literal in literals))

    def _value(self, field: Field, literal: Literal) -> Value:
        value = _READERS[field.type](self, literal)
        if value is None:
            self._misfit(field, literal)
        return value

    def _misfit(self, field: Field, literal: Literal) -> NoReturn:
        found = repr(literal.value)[:60] if isinstance(literal, Text | Number | Truth) else "NOW"
        raise self._error(literal.offset, f"{_EXPECTED[field.type]} ({field.name} is {field.type})", found)

    def _text_value(self, literal: Literal) -> Value | None:
        if not isinstance(literal, Text):
            return None
        if not is_plain(literal.value):
            raise self._error(literal.offset, "text without NUL and halves of surrogate pairs")
        return literal.value

    def _whole_number(self, literal: Literal) -> Value | None:
        is_whole = isinstance(literal, Number) and isinstance(literal.value, int)
        return literal.value if is_whole and INT_MIN <= literal.value <= INT_MAX else None  # type: ignore

    def _any_number(self, literal: Literal) -> Value | None:
        return float(literal.value) if isinstance(literal, Number) else None

    def _truth(self, literal: Literal) -> Value | None:
        return int(literal.value) if isinstance(literal, Truth) else None

    def _time(self, literal: Literal) -> Value | None:
        if isinstance(literal, Now):
            distance = self._microseconds(literal.distance, literal.offset) if literal.distance else 0
            return self._now - distance if literal.is_before else self._now + distance
        return microseconds_of(literal.value) if isinstance(literal, Text) else None

    def _duration(self, literal: Literal) -> Value | None:
        if not isinstance(literal, Text | Number):
            return None
        return self._microseconds(literal.value, literal.offset)

    def _microseconds(self, value: str | int | float, offset: int) -> int:
        try:
            return round(to_seconds(value) * 1e6)
        except InvalidInput as error:
            raise self._error(offset, _EXPECTED[FieldType.DURATION], str(error)) from None

    def _status(self, literal: Literal) -> Value | None:
        return _STATUSES.get(literal.value.lower()) if isinstance(literal, Text) else None

    def _condition_of_run(self, literal: Literal) -> Value | None:
        return _CONDITIONS.get(literal.value.lower()) if isinstance(literal, Text) else None

    def _error(self, offset: int, expected: str, found: str = "") -> FilterError:
        return FilterError(self._text, offset, expected, found)


_READERS: dict[FieldType, Callable[[_Binder, Literal], Value | None]] = {
    FieldType.KEYWORD: _Binder._text_value,
    FieldType.KEYWORD_LIST: _Binder._text_value,
    FieldType.INT: _Binder._whole_number,
    FieldType.DOUBLE: _Binder._any_number,
    FieldType.BOOL: _Binder._truth,
    FieldType.DATETIME: _Binder._time,
    FieldType.DURATION: _Binder._duration,
    FieldType.STATUS: _Binder._status,
    FieldType.CONDITION: _Binder._condition_of_run,
}


def _unless(field: Field, predicate: Predicate, is_negated: bool) -> Predicate:
    """What is compared with a negation must be there."""
    return All((Present(field), NotPredicate(predicate))) if is_negated else predicate


def text_behind(prefix: str) -> str | None:
    """The first text behind all that begin so; None where there is none."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1])
        if code < 0x10FFFF:
            after = 0xE000 if code == 0xD7FF else code + 1
            return prefix[: end - 1] + chr(after)
    return None
