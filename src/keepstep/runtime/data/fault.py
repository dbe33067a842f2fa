"""Where in a value the trouble is: the slow, exact search behind the errors of the codec.

The codec encodes at full speed and only looks for the reason once something has gone wrong. The search visits the value
in the order in which it would have been written and stops at the first part that cannot be.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from .models import is_model_class

SEARCH_DEPTH_MAX = 200
"""Deeper than the encoder itself goes; what is nested deeper is reported as such."""

ADVICE = (
    "use JSON types, dataclasses, msgspec Structs, attrs classes or pydantic models, or teach the class with "
    "keepstep.converter"
)


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a value with the path to each: ``.name`` for fields, ``['key']`` or ``[n]`` for items."""
    kind = type(value)
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{n}]", item) for n, item in enumerate(value))
    else:
        for name in field_names(kind):
            part = getattr(value, name, msgspec.UNSET)
            if part is not msgspec.UNSET:
                yield f".{name}", part


def field_names(kind: type) -> tuple[str, ...]:
    """The names of the fields of a dataclass, Struct, attrs class or pydantic model; none for other classes."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    if is_model_class(kind):
        return tuple(kind.__pydantic_fields__)  # type: ignore[attr-defined]
    return tuple(attribute.name for attribute in getattr(kind, "__attrs_attrs__", ()))


def find(value: Any, is_faulty: Callable[[Any], str], path: str = "", depth: int = 0) -> tuple[str, str] | None:
    """The path to the first innermost part that ``is_faulty`` has something to say about, and what it says."""
    if depth > SEARCH_DEPTH_MAX:
        return path[:80] + "…", "is nested too deeply or contains itself; flatten it"
    for step, part in parts(value):
        found = find(part, is_faulty, path + step, depth + 1)
        if found is not None:
            return found
    reason = is_faulty(value)
    return (path, reason) if reason else None


def not_finite(value: Any) -> str:
    """What is wrong with NaN and the infinities, which JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"is {value}, which JSON cannot hold; use None or a Decimal"
    return ""
