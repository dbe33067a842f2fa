"""Attribute: a field that a namespace has registered, and how a value of it is searched by.

An attribute has the type of its first value, unless it was registered before with another one, and keeps it: so a
comparison means the same for every run, and nobody has to prepare anything. A value that does not fit is refused. What
no type fits (a dictionary, a list of numbers, null) is kept with the run and shown, but no attribute comes of it.

=============== ==================================== ==========================================
first value     type                                 what else fits
=============== ==================================== ==========================================
text            ``keyword``                          text of up to 2,000 bytes of UTF-8
RFC 3339 time   ``datetime``                         such times, with a time zone
truth           ``bool``                             true and false
number          ``double``                           numbers; ``int`` if it was registered so
list of texts   ``keyword_list``                     up to 100 different texts; an empty list is none
=============== ==================================== ==========================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .errors import AttributeRefused
from .field import RESERVED, FieldType, Value
from .moment import moment_of

ATTRIBUTES_MAX = 1_000
"""So many a namespace may have."""

ATTRIBUTES_OF_RUN_MAX = 100
"""So many of them a run may have values of."""

NAME_CHARS_MAX = 512

KEYWORD_BYTES_MAX = 2_000
"""In UTF-8: what is longer, not every store can keep in an index."""

KEYWORDS_MAX = 100
"""Of one list."""

DOUBLE_MAX = 1.7e308
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1

TYPES = (
    FieldType.KEYWORD,
    FieldType.INT,
    FieldType.DOUBLE,
    FieldType.BOOL,
    FieldType.DATETIME,
    FieldType.KEYWORD_LIST,
)
"""What an attribute may be."""


class Attribute(msgspec.Struct, frozen=True):
    """A registered attribute of a namespace."""

    namespace: str
    name: str
    type: FieldType


class Indexed(msgspec.Struct, frozen=True):
    """What is kept of attributes to search by: the values of each that was ever registered, and which ones are new."""

    values: dict[str, tuple[Value, ...]]
    new: dict[str, FieldType]


def index(attributes: Mapping[str, Any], known: Mapping[str, FieldType], namespace: str) -> Indexed:
    """How a run is found that has these attributes. Raises ``AttributeRefused`` for what does not fit."""
    values: dict[str, tuple[Value, ...]] = {}
    new: dict[str, FieldType] = {}
    for name, value in attributes.items():
        check_name(name)
        if _holds_nul(value):
            raise AttributeRefused(f"attribute {name!r} has a NUL character in {value!r:.60}; leave that out")
        kind = known.get(name) or type_of(value)
        if kind is not None:
            values[name] = values_of(name, kind, value)
            if name not in known:
                new[name] = kind
    check_number(len(known) + len(new), namespace)
    return Indexed(values, new)


def new_types(wanted: Mapping[str, FieldType], known: Mapping[str, FieldType], namespace: str) -> dict[str, FieldType]:
    """Those of these attributes that have no type yet. Raises ``AttributeRefused`` if one cannot have it."""
    for name, kind in wanted.items():
        check_name(name)
        if known.get(name, kind) is not kind:
            raise AttributeRefused(
                f"attribute {name!r} is registered as {known[name]}, and keeps that type; choose another name"
            )
    new = {name: kind for name, kind in wanted.items() if name not in known}
    check_number(len(known) + len(new), namespace)
    return new


def check_name(name: str) -> None:
    """Raises ``AttributeRefused`` for a name that no attribute can have."""
    if name in RESERVED:
        raise AttributeRefused(f"an attribute cannot be named {name!r}, which every run has; choose another name")
    if not name or len(name) > NAME_CHARS_MAX or not is_plain(name):
        raise AttributeRefused(
            f"the name of an attribute has 1 to {NAME_CHARS_MAX} characters, and no NUL among them: {name!r:.60}"
        )


def check_number(count: int, namespace: str) -> None:
    """Raises ``AttributeRefused`` for more than a namespace may have."""
    if count > ATTRIBUTES_MAX:
        raise AttributeRefused(
            f"namespace {namespace!r} would have more than {ATTRIBUTES_MAX} attributes; "
            "put what differs from run to run into values, not into names"
        )


def type_of(value: Any) -> FieldType | None:
    """The type that an attribute has whose first value this is."""
    if isinstance(value, bool):
        return FieldType.BOOL
    if isinstance(value, int | float):
        return FieldType.DOUBLE if _double(value) is not None else None
    if isinstance(value, str):
        if moment_of(value) is not None:
            return FieldType.DATETIME
        return FieldType.KEYWORD if _is_keyword(value) else None
    is_list = isinstance(value, list) and value and len(value) <= KEYWORDS_MAX
    return FieldType.KEYWORD_LIST if is_list and all(map(_is_keyword, value)) else None


def values_of(name: str, kind: FieldType, value: Any) -> tuple[Value, ...]:
    """What a value is compared as; none for null and for an empty list. Raises ``AttributeRefused``."""
    if value is None:
        return ()
    if kind is FieldType.KEYWORD_LIST:
        return _keywords(name, value)
    compared = _compared(kind, value)
    if compared is None:
        raise AttributeRefused(
            f"attribute {name!r} is registered as {kind}, which {value!r:.60} does not fit; it takes {_TAKES[kind]}"
        )
    return (compared,)


def _keywords(name: str, value: Any) -> tuple[Value, ...]:
    if not isinstance(value, list) or len(value) > KEYWORDS_MAX or not all(map(_is_keyword, value)):
        takes = _TAKES[FieldType.KEYWORD_LIST]
        raise AttributeRefused(
            f"attribute {name!r} is registered as keyword_list, which {value!r:.60} does not fit; it takes {takes}"
        )
    return tuple(dict.fromkeys(value))


_TAKES = {
    FieldType.KEYWORD: f"text of up to {KEYWORD_BYTES_MAX} bytes",
    FieldType.INT: "whole numbers of 64 bits",
    FieldType.DOUBLE: "numbers",
    FieldType.BOOL: "true and false",
    FieldType.DATETIME: "times with a time zone, such as 2026-11-27T09:00:00Z",
    FieldType.KEYWORD_LIST: f"lists of up to {KEYWORDS_MAX} texts of up to {KEYWORD_BYTES_MAX} bytes",
}


def _compared(kind: FieldType, value: Any) -> Value | None:
    if kind is FieldType.BOOL:
        return int(value) if isinstance(value, bool) else None
    if isinstance(value, bool):
        return None
    if kind is FieldType.KEYWORD:
        return value if _is_keyword(value) else None
    if kind is FieldType.DATETIME:
        return moment_of(value) if isinstance(value, str) else None
    if kind is FieldType.INT:
        return value if isinstance(value, int) and INT_MIN <= value <= INT_MAX else None
    return _double(value) if isinstance(value, int | float) else None


def _double(value: int | float) -> float | None:
    try:
        return float(value) + 0.0 if abs(value) < DOUBLE_MAX else None  # there is one zero
    except OverflowError:
        return None


def _holds_nul(value: Any) -> bool:
    """Not every store can look into JSON that does."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(each) for each in (*value, *value.values()))
    return isinstance(value, list) and any(map(_holds_nul, value))


def _is_keyword(value: Any) -> bool:
    return isinstance(value, str) and is_plain(value) and len(value.encode()) <= KEYWORD_BYTES_MAX


def is_plain(text: str) -> bool:
    """Whether every store can keep and find it."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
