"""Default factories: what runs when a class is called without all of its fields.

``id: UUID = field(default_factory=uuid4)`` makes another id at every replay, and nothing but the class says so. Known
are the fields of dataclasses, msgspec Structs, attrs classes and pydantic models. Only what the class holds is looked
at; nothing of it is run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from .thing import function_in


class Field(NamedTuple):
    """A field that a call may give."""

    names: frozenset[str]
    """By which it may be given: its own and its alias."""
    factory: Callable[..., Any] | None


def factories_run(cls: type, positional: int, keywords: frozenset[str]) -> Iterator[Field]:
    """The fields that a call with so many positional, and these keyword, arguments leaves to their factories."""
    if _has_written_init(cls):
        return
    for index, field in enumerate(_fields(cls)):
        if field.factory is not None and index >= positional and field.names.isdisjoint(keywords):
            yield field


def _has_written_init(cls: type) -> bool:
    init = function_in(vars(cls).get("__init__"))
    return init is not None and not init.__code__.co_filename.startswith("<")


def _fields(cls: type) -> Iterator[Field]:
    """Those that can be given by position come first."""
    if issubclass(cls, msgspec.Struct):
        return _of_struct(cls)
    members = vars(cls)
    if "__pydantic_fields__" in members:
        return _of_model(members["__pydantic_fields__"])
    if "__attrs_attrs__" in members:
        return _of_attrs(members["__attrs_attrs__"])
    return _of_dataclass(cls) if dataclasses.is_dataclass(cls) else iter(())


def _of_struct(cls: type[msgspec.Struct]) -> Iterator[Field]:
    names, defaults = cls.__struct_fields__, cls.__struct_defaults__
    required = len(names) - len(defaults)
    for index, name in enumerate(names):
        factory = getattr(defaults[index - required], "factory", None) if index >= required else None
        yield Field(frozenset({name}), factory)


def _of_model(fields: dict[str, Any]) -> Iterator[Field]:
    for name, field in fields.items():
        aliases = (field.alias, field.validation_alias)
        yield Field(frozenset({name, *(each for each in aliases if isinstance(each, str))}), field.default_factory)


def _of_attrs(attributes: tuple[Any, ...]) -> Iterator[Field]:
    for each in sorted((each for each in attributes if each.init), key=lambda each: bool(each.kw_only)):
        yield Field(frozenset({each.name, each.alias}), getattr(each.default, "factory", None))


def _of_dataclass(cls: Any) -> Iterator[Field]:
    for each in sorted((each for each in dataclasses.fields(cls) if each.init), key=lambda each: bool(each.kw_only)):
        factory: Any = each.default_factory
        yield Field(frozenset({each.name}), None if factory is dataclasses.MISSING else factory)
