"""Unions of classes that carry no tag, such as ``Paid | Declined`` for two dataclasses.

msgspec reads no such union, because JSON does not say which class an object is of. Where the classes have different
fields the object itself says it: it is of the one class that reads it and would write it just so again. Classes that
cannot be told apart are refused when the union is built or, where only some of their values are alike, when one is
read. Inside of other types a union needs tags.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any, get_args, get_origin

import msgspec

from keepstep.journal import InvalidInput

from .shape import shape_of

Read = Callable[[bytes], Any]

ADVICE = "use tagged msgspec Structs (class A(msgspec.Struct, tag=True)) for a choice between classes"


def union_decoder(annotation: Any, decoder_of: Callable[[Any], Read], encode: Callable[[Any], bytes]) -> Read | None:
    """A decoder for a union of classes whose fields differ; None for any other type. Raises ``InvalidInput``."""
    if get_origin(annotation) not in (typing.Union, types.UnionType):
        return None
    members = [each for each in get_args(annotation) if each is not type(None)]
    fields = [frozenset(shape_of(each, {}).fields) for each in members]
    if sum(map(bool, fields)) < 2:
        return None
    named = [each for each in fields if each]
    if len(set(named)) < len(named):
        raise InvalidInput(f"two classes of {annotation} have the same fields, and could not be told apart; {ADVICE}")
    readers = [decoder_of(each) for each in members]
    takes_none = len(members) < len(get_args(annotation))

    def decode(data: bytes) -> Any:
        content = bytes(data)
        if takes_none and content in (b"", b"null"):
            return None
        values = [value for read in readers if (value := _try(read, content)) is not msgspec.UNSET]
        exact = [value for value in values if encode(value) == content] or values
        if len(exact) == 1:
            return exact[0]
        why = "more than one of its classes fits" if exact else "none of its classes fits"
        raise InvalidInput(f"expected {annotation}: {why}; {ADVICE}")

    return decode


def _try(read: Read, data: bytes) -> Any:
    try:
        return read(data)
    except InvalidInput:
        return msgspec.UNSET
