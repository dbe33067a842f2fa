"""Converters: classes that typed JSON does not know, taught once: what to write for one, and how to make it of that.

A class of somebody else's (a message of Protobuf, a point of a library of geometry) is neither a dataclass nor anything
else whose fields say what it is. ``converter`` says it, and from then on the class may stand in annotations wherever a
known one may: alone, in containers, in fields. Its converter writes a value of the *wire* type, whose place it takes:
for what reads the JSON without the class, for its schema, and for upcasters.

What is known already cannot be taught: of what was written before, nobody could tell which way it was.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import pathlib
import uuid
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, get_origin

import msgspec

from keepstep.journal import InvalidInput

from .models import is_validated

T = TypeVar("T")

_KNOWN: tuple[type, ...] = (
    str, int, float, bytes, bytearray, memoryview, dict, list, tuple, set, frozenset, deque,
    datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID, enum.Enum, pathlib.PurePath,
)  # fmt: skip


class Converter(msgspec.Struct, frozen=True):
    """How one class travels."""

    kind: type
    encode: Callable[[Any], Any]
    decode: Callable[..., Any]
    wire: Any
    subclasses: bool

    def written(self, value: Any) -> Any:
        """What is written for a value. Raises ``TypeError`` that says whose fault it is."""
        try:
            made = self.encode(value)
        except Exception as error:
            raise TypeError(f"its converter failed: {error!r:.200}") from error
        if made is None:
            raise TypeError("its converter made None of it, which stands for a value that is not there")
        return made

    def read(self, made: Any, kind: type) -> Any:
        """A value of the class. Raises ``ValueError``, likewise."""
        try:
            value = self.decode(made, kind) if self.subclasses else self.decode(made)
        except Exception as error:
            raise ValueError(f"the converter of {kind.__qualname__} failed: {error!r:.200}") from error
        if not isinstance(value, kind):
            raise ValueError(f"the converter of {kind.__qualname__} made a {type(value).__qualname__}")
        return value


CONVERTERS: dict[type, Converter] = {}
"""Of this process."""

FORGETS: list[Callable[[], None]] = []
"""What has been kept of types as they were before a class was taught."""


def converter(
    kind: type[T], *, encode: Callable[[T], Any], decode: Callable[..., T], wire: Any = Any, subclasses: bool = False
) -> None:
    """Teach Keepstep a class that it does not know: ``converter(Point, encode=str, decode=Point.parse, wire=str)``.

    :param encode: makes of a value what is written: JSON data, bytes, or whatever else typed JSON knows; not None.
    :param decode: makes the value of that. :param wire: the type of what ``encode`` returns and ``decode`` takes, such
        as ``bytes``, ``list[float]``, a dataclass; plain JSON data without it.
    :param subclasses: all classes below it are taught, too; ``decode`` then gets the class as its second argument.

    Both must be pure. Call it where the class is imported, in all processes. Raises ``InvalidInput`` for a class that
    is known already.
    """
    _check_unknown(kind)
    if not callable(encode) or not callable(decode):
        raise InvalidInput(f"the converter of {kind.__qualname__} needs functions as encode= and decode=")
    before = CONVERTERS.get(kind)
    if before is not None and (before.wire, before.subclasses) != (wire, subclasses):
        raise InvalidInput(f"{kind.__qualname__} has a converter already, for {before.wire!r:.60}; keep one of them")
    CONVERTERS[kind] = Converter(kind, encode, decode, wire, subclasses)
    _find.cache_clear()
    for forget in FORGETS:
        forget()


def _check_unknown(kind: Any) -> None:
    if not isinstance(kind, type) or get_origin(kind) is not None:
        raise InvalidInput(f"converter takes a class, not {kind!r:.100}")
    is_known = issubclass(kind, _KNOWN) or is_validated(kind) or kind is object
    if not is_known:
        try:
            is_known = not isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType)
        except Exception:  # one whose fields cannot be understood is known, too
            is_known = True
    if is_known:
        raise InvalidInput(
            f"{kind.__qualname__} travels as typed JSON already, and needs no converter; for a new shape of it, "
            "decorate a function with keepstep.upcast"
        )


def converter_of(kind: Any) -> Converter | None:
    """Who knows how a class travels; None where that is known anyway, or not at all."""
    return _find(kind) if CONVERTERS and isinstance(kind, type) else None


@lru_cache(maxsize=4096)
def _find(kind: type) -> Converter | None:
    own = CONVERTERS.get(kind)
    if own is not None:
        return own
    inherited = (CONVERTERS.get(each) for each in kind.__mro__[1:])
    return next((each for each in inherited if each is not None and each.subclasses), None)
