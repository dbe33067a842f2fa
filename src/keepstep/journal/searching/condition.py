"""Condition: a predicate as a condition of SQL over ``runs AS r``.

Its text is made of what stands in this module and in the store's dialect; every value, and the number of every
attribute, is a parameter. Names that people typed are in neither.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from keepstep.journal.deciding.codes import CONDITION_CODES, CONDITIONS, STATUS_CODES, STATUSES
from keepstep.journal.field import ALWAYS_THERE, Field, FieldType, Value
from keepstep.journal.run import Condition, Status
from keepstep.journal.search import All, Either, Not, OneOf, Predicate, Present, Within

Test = Callable[[str], str]


class Conditions(ABC):
    """Makes conditions of one statement, and gathers their parameters. Each store has a dialect."""

    columns: Mapping[Field, str]
    """What a built-in field is in SQL."""

    def __init__(self, attributes: Mapping[str, int]) -> None:
        self._attributes = attributes
        """The numbers of those that are known."""
        self.values: list[Any] = []
        """The parameters, in their order."""

    @abstractmethod
    def place(self, value: Value, type: FieldType) -> str:
        """A parameter of this value."""

    @abstractmethod
    def one_of(self, column: str, values: tuple[Value, ...], type: FieldType) -> str:
        """Whether a column is among these values."""

    @abstractmethod
    def value_column(self, type: FieldType) -> str:
        """Where ``attribute_values AS v`` has the values of that type."""

    same_run = "v.run = r.run"

    def condition(self, predicate: Predicate) -> str:
        match predicate:
            case OneOf() | Within():
                return self._about(predicate.field, lambda column: self.test(predicate, column))
            case Present(field):
                return self._about(field, lambda column: "TRUE")
            case All(parts):
                return self._joined(" AND ", parts, "TRUE")
            case Either(parts):
                return self._joined(" OR ", parts, "FALSE")
            case Not(part):
                return f"NOT {self.condition(part)}"
        raise AssertionError(f"no predicate: {predicate!r}")

    def test(self, predicate: OneOf | Within, column: str) -> str:
        """What a column has to be."""
        field = predicate.field
        if isinstance(predicate, OneOf):
            return self.one_of(column, tuple(coded(field, value) for value in predicate.values), field.type)
        bounds = []
        if predicate.low is not None:
            bounds.append(f"{column} >{'=' * predicate.with_low} {self.place(predicate.low, field.type)}")
        if predicate.high is not None:
            bounds.append(f"{column} <{'=' * predicate.with_high} {self.place(predicate.high, field.type)}")
        return " AND ".join(bounds) or "TRUE"

    def number(self, field: Field) -> str | None:
        """A parameter that names an attribute; None for one that the store does not know."""
        number = self._attributes.get(field.name)
        return None if number is None else self.place(number, FieldType.INT)

    def _about(self, field: Field, test: Test) -> str:
        if field.is_attribute:
            number = self.number(field)
            if number is None:
                return "FALSE"
            its = f"{self.same_run} AND v.attribute = {number}"
            return f"EXISTS (SELECT 1 FROM attribute_values AS v WHERE {its} AND {test(self._value_of(field))})"
        column = self.columns[field]
        if field in ALWAYS_THERE:
            return f"({test(column)})"
        return f"({column} IS NOT NULL AND {test(column)})"

    def _value_of(self, field: Field) -> str:
        return f"v.{self.value_column(field.type)}"

    def _joined(self, word: str, parts: tuple[Predicate, ...], nothing: str) -> str:
        return f"({word.join(map(self.condition, parts))})" if parts else nothing

    def value(self, field: Field) -> str:
        """The value of a field, to sort by; NULL if a run has none."""
        if not field.is_attribute:
            return self.columns[field]
        number = self.number(field)
        its = "FALSE" if number is None else f"{self.same_run} AND v.attribute = {number}"
        return f"(SELECT {self._value_of(field)} FROM attribute_values AS v WHERE {its})"


def decoded(field: Field, found: Any) -> Value | None:
    """What stands in the tables, as a value."""
    value: Value | None = found
    if found is not None and field.type is FieldType.STATUS:
        value = STATUSES[found]
    elif found is not None and field.type is FieldType.CONDITION:
        value = CONDITIONS[found]
    return value


def coded(field: Field, value: Value) -> Value:
    """A value as it is in the tables."""
    if field.type is FieldType.STATUS:
        return STATUS_CODES[Status(str(value))]
    if field.type is FieldType.CONDITION:
        return CONDITION_CODES[Condition(str(value))]
    return value
