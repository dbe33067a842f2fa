"""Shape: what a type consists of, as JSON has it: items, values, fields by their names in JSON, or a choice of others.

Needed only where data of one shape are brought into another; reading and writing know types much faster by themselves.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from .converters import converter_of
from .models import is_model_class


class Shape(msgspec.Struct, kw_only=True):
    """The parts of one type. At most one kind of them is there."""

    items: Any = None
    """Of a list, set or tuple of any length."""
    values: Any = None
    """Of a dict."""
    positions: list[Any] = []
    """Of a tuple, NamedTuple or array-like Struct."""
    fields: dict[str, Any] = {}
    """By their names in JSON."""
    choices: list[Any] = []
    """Of a union; of a class that was taught, the one type that it is written as."""
    tag: tuple[str, Any] | None = None
    """The field, and its value, by which a Struct says which one it is."""
    bound: Mapping[Any, Any] = {}
    """What the type variables of the parts stand for."""

    def all(self) -> Iterator[Any]:
        """All parts."""
        yield from (part for part in (self.items, self.values) if part is not None)
        yield from self.positions
        yield from self.fields.values()
        yield from self.choices


def shape_of(annotation: Any, bound: Mapping[Any, Any]) -> Shape:
    """The parts of a type; ``bound`` says what its type variables stand for."""
    annotation = plain_type(annotation, bound)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return Shape(choices=[each for each in arguments if each is not type(None)], bound=bound)
    kind = origin or annotation
    if not isinstance(kind, type):
        return Shape()
    taught = converter_of(kind)
    if taught is not None:
        return Shape(choices=[taught.wire], bound=bound)
    if issubclass(kind, tuple) and arguments and arguments[-1] is not Ellipsis and not hasattr(kind, "_fields"):
        return Shape(positions=list(arguments), bound=bound)
    if issubclass(kind, Mapping) and len(arguments) == 2:
        return Shape(values=arguments[1], bound=bound)
    if _is_collection(kind) and arguments:
        return Shape(items=arguments[0], bound=bound)
    filled = [_filled(each, bound) for each in arguments]
    return _record(kind, dict(zip(getattr(kind, "__parameters__", ()), filled, strict=False)))


def _filled(argument: Any, bound: Mapping[Any, Any]) -> Any:
    """What a generic class is made with, its own type variables replaced: they are not those of the class."""
    if isinstance(argument, TypeVar):
        return bound.get(argument, Any)
    open_ones = getattr(argument, "__parameters__", ())
    if not open_ones or (isinstance(argument, type) and get_origin(argument) is None):
        return argument
    return argument[tuple(bound.get(each, Any) for each in open_ones)]


def plain_type(annotation: Any, bound: Mapping[Any, Any]) -> Any:
    """Without what only says more about a type, its aliases, and type variables."""
    while True:
        if isinstance(annotation, TypeVar):
            known = bound.get(annotation, annotation.__bound__)
            if known is None or known is annotation:
                return Any
            annotation = known
        elif get_origin(annotation) in (typing.Annotated, typing.Required, typing.NotRequired, typing.Final):
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _is_collection(kind: type) -> bool:
    return issubclass(kind, (Collection, deque)) and not issubclass(kind, (str, bytes, Mapping))


def _record(kind: type, bound: Mapping[Any, Any]) -> Shape:
    if issubclass(kind, msgspec.Struct):
        return _struct(kind, bound)
    if is_model_class(kind):
        fields: Any = kind.model_fields  # type: ignore[attr-defined]
        return Shape(
            fields={
                field.serialization_alias or field.alias or name: field.annotation for name, field in fields.items()
            },
            bound=bound,
        )
    if hasattr(kind, "_fields") and issubclass(kind, tuple):
        hints = _hints(kind)
        return Shape(positions=[hints.get(name, Any) for name in kind._fields], bound=bound)  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__attrs_attrs__") or typing.is_typeddict(kind):
        return Shape(fields=_hints(kind), bound=bound)
    return Shape()


def _struct(kind: type[msgspec.Struct], bound: Mapping[Any, Any]) -> Shape:
    config = kind.__struct_config__
    hints = _hints(kind)
    named = {
        wire: hints.get(name, Any)
        for name, wire in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    }
    if config.array_like:
        tag = [Any] if config.tag is not None else []
        return Shape(positions=[*tag, *named.values()], bound=bound)
    tagged = None if config.tag is None else (str(config.tag_field), config.tag)
    return Shape(fields=named, tag=tagged, bound=bound)


def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except Exception:  # a name that is not defined where the class is; what is no text is known all the same
        return {
            name: each
            for base in reversed(kind.__mro__)
            for name, each in vars(base).get("__annotations__", {}).items()
            if not isinstance(each, str)
        }
