"""File: many lines, compressed by gzip, which every system has a tool for: ``zcat FILE | head -1 | jq``.

A file is written whole or not at all (``place``), so one that is torn was damaged later. What comes before the tear can
still be read.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

SUFFIX = ".jsonl.gz"
LINE_BYTES_MAX = 512 * 1024 * 1024
"""More than any recording has, sealed ones included."""

_PIECE_BYTES = 4 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class Torn(Exception):
    """A file ends before its end, or holds what was never written. Its text says what is wrong."""


def pack(lines: Sequence[bytes], written_at: int) -> bytes:
    """A file. ``written_at``: seconds since 1970, which its header says."""
    return gzip.compress(b"".join(line + b"\n" for line in lines), mtime=written_at)


def unpack(data: bytes) -> Iterator[bytes]:
    """Its lines, without their ends. Raises ``Torn`` when it has given all that can be read."""
    unpacking = zlib.decompressobj(_GZIP)
    begun: list[bytes] = []
    size = 0
    for piece in _pieces(unpacking, data):
        first, *others = piece.split(b"\n")
        begun.append(first)
        size += len(first)
        if size > LINE_BYTES_MAX:
            raise Torn(f"it has a line of more than {LINE_BYTES_MAX} bytes")
        if others:
            yield b"".join(begun)
            yield from others[:-1]
            begun, size = others[-1:], len(others[-1])
    if not unpacking.eof or size:
        raise Torn("it is cut off")
    if unpacking.unused_data:
        raise Torn("something follows its end")


def _pieces(unpacking: Any, data: bytes) -> Iterator[bytes]:
    """Small ones, so that little is lost where one cannot be unpacked."""
    for begin in range(0, len(data), _PIECE_BYTES):
        try:
            yield unpacking.decompress(data[begin : begin + _PIECE_BYTES])
        except zlib.error as error:
            raise Torn(f"it is damaged: {error}") from error
