"""What a name in workflow code stands for, as far as it can be known without running the code.

A ``Thing`` is one of: an object that is known (``held``); something of which only the dotted name is known (a module
imported inside the function and not loaded yet); an instance of a known class (``of``), the object itself not known;
or nothing known at all. Attributes are looked up statically: no property, ``__getattr__`` or ``__eq__`` of the user's
objects runs. Proxies and mocks, which say that they are of another class, are not looked into at all: asking them runs
their code.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType

from .catalogue import ABSENT, module_attribute


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    path: str = ""
    held: object = ABSENT
    of: type | None = None
    owner: object = ABSENT  # the instance or class that ``held`` was reached through

    def same_as(self, other: Thing) -> bool:
        return self.held is other.held and self.of is other.of and self.path == other.path


UNKNOWN = Thing()


def from_object(thing: object, path: str = "") -> Thing:
    if is_disguised(thing):
        return Thing(path)
    return Thing(path or path_of(thing), held=thing)


def is_disguised(thing: object) -> bool:
    return any("__class__" in vars(base) for base in type(thing).__mro__ if base is not object)


def path_of(thing: object) -> str:
    """The dotted name under which a module or class is known; empty for anything else."""
    if isinstance(thing, ModuleType):
        return thing.__name__
    if isinstance(thing, type):
        return f"{thing.__module__}.{thing.__qualname__}"
    return ""


def imported(name: str, *, whole: bool) -> Thing:
    """What ``import name`` binds: the top package, or the module itself where ``whole``."""
    wanted = name if whole else name.partition(".")[0]
    return Thing(wanted, held=sys.modules.get(wanted, ABSENT))


def attribute(thing: Thing, name: str) -> Thing:
    if thing.held is ABSENT:
        if thing.of is not None:
            return _member(thing.of, name, owner=ABSENT)
        return Thing(f"{thing.path}.{name}") if thing.path else UNKNOWN
    if isinstance(thing.held, ModuleType):
        return from_object(module_attribute(thing.held, name), f"{thing.held.__name__}.{name}")
    if isinstance(thing.held, type):
        return _member(thing.held, name, owner=thing.held)
    return _instance_attribute(thing.held, name)


def _instance_attribute(instance: object, name: str) -> Thing:
    own = _own_attributes(instance).get(name, ABSENT)
    if own is not ABSENT:
        return from_object(own)
    return _member(type(instance), name, owner=instance)


def _own_attributes(instance: object) -> dict[str, object]:
    try:
        found = object.__getattribute__(instance, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _member(cls: type, name: str, *, owner: object) -> Thing:
    """What a class gives for a name; the path is that of the class which defines it."""
    for base in cls.__mro__:
        found = vars(base).get(name, ABSENT)
        if found is not ABSENT and not is_disguised(found):
            return Thing(f"{path_of(base)}.{name}", held=found, owner=cls if owner is ABSENT else owner)
    return UNKNOWN


class Wrapper:
    """Stands in a class for a function of it, which is read instead."""

    __wrapped__: object


def function_in(held: object) -> FunctionType | None:
    """The plain Python function that runs when ``held`` is called or, for a property, read."""
    for _ in range(8):
        if is_disguised(held):
            break
        if isinstance(held, FunctionType):
            return held
        if isinstance(held, (MethodType, staticmethod, classmethod)):
            held = held.__func__
        elif isinstance(held, property):
            held = held.fget
        elif isinstance(held, Wrapper):
            held = held.__wrapped__
        else:
            held = _wrapped(held)
    return None


def _wrapped(held: object) -> object:
    """What a ``functools`` wrapper (``partial``, ``lru_cache``, ``cached_property``) stands for."""
    if type(held).__module__ != "functools":
        return None
    for name in ("func", "__wrapped__"):
        found: object = getattr(held, name, None)
        if found is not None:
            return found
    return None
