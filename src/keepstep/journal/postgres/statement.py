"""Statement: a named text of SQL, and how the values of its parameters travel.

Whole columns travel as arrays, so that a statement takes as many rows as a flush has; they are encoded here rather than
by the driver because a flush of five hundred steps has thousands of values, and the driver looks at each of them twice.
Numbers go as text, which the server reads faster than Python packs; texts and bytes go in the binary format, which
needs no quoting and carries lengths: a NUL in a text is refused by the server, not taken for its end by the driver.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

TEXT_FORMAT, BINARY_FORMAT = 0, 1

_OIDS = {
    "int2": 21,
    "int4": 23,
    "int8": 20,
    "float8": 701,
    "text": 25,
    "bytea": 17,
    "int8[]": 1016,
    "float8[]": 1022,
    "text[]": 1009,
    "bytea[]": 1001,
}

_length = struct.Struct("!i").pack
_NULL = _length(-1)
_array = struct.Struct("!iiIii").pack
_empty_array = struct.Struct("!iiI").pack

Encode = Callable[[Any], bytes]


def _number(value: float) -> bytes:
    return repr(value).encode()


def _text(value: str) -> bytes:
    return value.encode()


def _bytes(value: bytes) -> bytes:
    return value


def _numbers(values: Sequence[float | None]) -> bytes:
    return f"{{{','.join(map(str, values))}}}".replace("None", "NULL").encode()


def _binary_array(oid: int, elements: Sequence[bytes | None]) -> bytes:
    if not elements:
        return _empty_array(0, 0, oid)
    parts = [_array(1, 1, oid, len(elements), 1)]
    for element in elements:
        if element is None:
            parts.append(_NULL)
        else:
            parts += (_length(len(element)), element)
    return b"".join(parts)


def _texts(values: Sequence[str | None]) -> bytes:
    return _binary_array(_OIDS["text"], [None if value is None else value.encode() for value in values])


def _blobs(values: Sequence[bytes | None]) -> bytes:
    return _binary_array(_OIDS["bytea"], values)


_ENCODERS: dict[str, tuple[Encode, int]] = {
    "int2": (_number, TEXT_FORMAT),
    "int4": (_number, TEXT_FORMAT),
    "int8": (_number, TEXT_FORMAT),
    "float8": (_number, TEXT_FORMAT),
    "text": (_text, BINARY_FORMAT),
    "bytea": (_bytes, BINARY_FORMAT),
    "int8[]": (_numbers, TEXT_FORMAT),
    "float8[]": (_numbers, TEXT_FORMAT),
    "text[]": (_texts, BINARY_FORMAT),
    "bytea[]": (_blobs, BINARY_FORMAT),
}


GUESS = "keepstep.guess"
"""The setting that is ``wrong`` for the rest of a transaction that was sent on a guess, if that was wrong."""


class Statement:
    """A statement whose ``$1`` … have these types, as in ``Statement("… $1 … $2", "int8", "text[]")``.

    ``is_kept=False`` is for one that is made where it is needed, and not prepared.
    """

    def __init__(self, text: str, *types: str, is_kept: bool = True) -> None:
        self.text = text.encode()
        self.is_kept = is_kept
        self.knows_of_guess = GUESS in text
        """Whether it does nothing behind a guess that was wrong."""
        self.oids = [_OIDS[each] for each in types]
        self.formats = [_ENCODERS[each][1] for each in types]
        self._encoders = [_ENCODERS[each][0] for each in types]

    def encode(self, values: Sequence[Any]) -> list[bytes | None]:
        """The values as they travel."""
        return [None if value is None else encode(value) for encode, value in zip(self._encoders, values, strict=True)]
