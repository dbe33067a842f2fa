"""Syntax: what a filter says, before anybody knows which fields there are.

Two filters are equal if they say the same; where each part stands (``offset``) does not count.
"""

from __future__ import annotations

from dataclasses import dataclass, field


def _place() -> int:
    return field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A field's name."""

    text: str
    offset: int = _place()


@dataclass(frozen=True, slots=True)
class Text:
    """Text in quotes."""

    value: str
    offset: int = _place()


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number, or one with a fraction or an exponent."""

    value: int | float
    offset: int = _place()


@dataclass(frozen=True, slots=True)
class Truth:
    """TRUE or FALSE."""

    value: bool
    offset: int = _place()


@dataclass(frozen=True, slots=True)
class Now:
    """The moment at which is asked; with ``distance``, a duration as text, so much before (or after) it."""

    distance: str = ""
    is_before: bool = True
    offset: int = _place()


Literal = Text | Number | Truth | Now


@dataclass(frozen=True, slots=True)
class Comparison:
    """``name operator value``, with one of the operators ``= != < <= > >=``."""

    name: Name
    operator: str
    value: Literal
    offset: int = _place()


@dataclass(frozen=True, slots=True)
class Membership:
    """``name [NOT] IN (value, …)``"""

    name: Name
    values: tuple[Literal, ...]
    is_negated: bool = False
    offset: int = _place()


@dataclass(frozen=True, slots=True)
class Between:
    """``name [NOT] BETWEEN low AND high``, both included."""

    name: Name
    low: Literal
    high: Literal
    is_negated: bool = False
    offset: int = _place()


@dataclass(frozen=True, slots=True)
class StartsWith:
    """``name [NOT] STARTS_WITH text``"""

    name: Name
    prefix: Text
    is_negated: bool = False
    offset: int = _place()


@dataclass(frozen=True, slots=True)
class IsNull:
    """``name IS [NOT] NULL``"""

    name: Name
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """Two or more parts."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Two or more parts."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """NOT before a condition."""

    part: Condition


Condition = Comparison | Membership | Between | StartsWith | IsNull | And | Or | Not


@dataclass(frozen=True, slots=True)
class Sorting:
    """One column of ORDER BY."""

    name: Name
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """All of it. Without a condition everything fits."""

    where: Condition | None = None
    order: tuple[Sorting, ...] = ()
