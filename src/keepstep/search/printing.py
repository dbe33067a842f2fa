"""Printing: a filter's syntax as text that means the same. ``parse(show(filter)) == filter``."""

from __future__ import annotations

import re

from .parser import KEYWORDS
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

_WORD = re.compile(r"[^\W\d]\w*(?:[.\-]\w+)*")


def show(filter: Filter) -> str:
    """The text of a filter."""
    parts = [] if filter.where is None else [_condition(filter.where)]
    if filter.order:
        columns = [f"{_name(each.name)} {'DESC' if each.descending else 'ASC'}" for each in filter.order]
        parts.append(f"ORDER BY {', '.join(columns)}")
    return " ".join(parts)


def _condition(condition: Condition) -> str:
    match condition:
        case Comparison(name, operator, value):
            return f"{_name(name)} {operator} {_literal(value)}"
        case Membership(name, values, is_negated):
            return f"{_name(name)} {_not(is_negated)}IN ({', '.join(map(_literal, values))})"
        case Between(name, low, high, is_negated):
            return f"{_name(name)} {_not(is_negated)}BETWEEN {_literal(low)} AND {_literal(high)}"
        case StartsWith(name, prefix, is_negated):
            return f"{_name(name)} {_not(is_negated)}STARTS_WITH {_literal(prefix)}"
        case IsNull(name, is_negated):
            return f"{_name(name)} IS {_not(is_negated)}NULL"
        case And(parts):
            return " AND ".join(_within(each, (And, Or)) for each in parts)
        case Or(parts):
            return " OR ".join(_within(each, (Or,)) for each in parts)
        case Not(part):
            return f"NOT {_within(part, (And, Or))}"


def _within(part: Condition, looser: tuple[type, ...]) -> str:
    """In brackets, where it would otherwise be torn apart."""
    return f"({_condition(part)})" if isinstance(part, looser) else _condition(part)


def _not(is_negated: bool) -> str:
    return "NOT " if is_negated else ""


def _name(name: Name) -> str:
    is_plain = _WORD.fullmatch(name.text) is not None and name.text.upper() not in KEYWORDS
    return name.text if is_plain else "`" + name.text.replace("`", "``") + "`"


def _literal(literal: Literal) -> str:
    match literal:
        case Text(value):
            return _text(value)
        case Number(value):
            return repr(value)
        case Truth(value):
            return "TRUE" if value else "FALSE"
        case Now(distance, is_before):
            return f"NOW {'-' if is_before else '+'} {_text(distance)}" if distance else "NOW"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
