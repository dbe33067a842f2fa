"""Sets in an order that does not depend on the process.

The order in which a set is walked differs from process to process (string hashes are seeded). Encoded values are
compared by digest across processes, so sets must be written in one order, while dicts must keep theirs. msgspec can
sort both or neither. So a value is written twice only if it contains an array at all; if the sorted text is the same
nothing needs to be done; and only if it differs is the value searched for sets, which are then replaced, one by one,
by their sorted text.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .fault import field_names
from .models import is_model_class

_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})


def holds_set(value: Any) -> bool:
    """True if a set of two or more is anywhere inside the value (but not inside pydantic models, which see to it)."""
    kind = type(value)
    if kind in _LEAVES:
        return False
    if issubclass(kind, (set, frozenset)):
        return len(value) > 1 or any(map(holds_set, value))
    if issubclass(kind, (list, tuple)):
        return not set(map(type, value)) <= _LEAVES and any(map(holds_set, value))
    if issubclass(kind, Mapping):
        return any(map(holds_set, value.values()))
    return not is_model_class(kind) and any(holds_set(getattr(value, name, None)) for name in field_names(kind))


def with_sorted_sets(value: Any, encode: Callable[[Any], bytes], encode_sorted: Callable[[Any], bytes]) -> Any:
    """The value, to be encoded like it, with each set replaced by its sorted text."""
    if not holds_set(value):
        return value
    kind = type(value)

    def inner(part: Any) -> Any:
        return with_sorted_sets(part, encode, encode_sorted)

    if issubclass(kind, (set, frozenset)):
        return msgspec.Raw(_sorted_text([inner(item) for item in value], value, encode, encode_sorted))
    if issubclass(kind, (list, tuple)):
        return [inner(item) for item in value]
    if issubclass(kind, Mapping):
        return {key: inner(item) for key, item in value.items()}
    return _with_fields(
        value, {name: inner(getattr(value, name)) for name in field_names(kind) if hasattr(value, name)}
    )


def _sorted_text(
    items: list[Any], value: Any, encode: Callable[[Any], bytes], encode_sorted: Callable[[Any], bytes]
) -> bytes:
    try:
        return encode_sorted(value)
    except TypeError:  # items that cannot be compared: their texts can
        return b"[" + b",".join(sorted(map(encode, items))) + b"]"


def _with_fields(value: Any, fields: dict[str, Any]) -> Any:
    other = copy.copy(value)
    for name, part in fields.items():
        if part is not getattr(value, name):
            if isinstance(other, msgspec.Struct):
                msgspec.structs.force_setattr(other, name, part)
            else:
                object.__setattr__(other, name, part)
    return other
