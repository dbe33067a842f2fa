"""Compression: by what the standard library has. ``zlib`` is everywhere, ``zstd`` came with Python 3.14.

What is compressed and then encrypted still tells by its length how well it could be compressed. Who can choose a part
of a value, and see how long its cell gets, can find out about the rest of it; leave compression off where that matters.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

from keepstep.journal import InvalidInput, Unreadable

ZLIB_LEVEL = 6

UNPACKED_BYTES_MAX = 256 * 1024 * 1024
"""No cell is unpacked beyond it, whatever it says of itself."""


def _zlib_unpack(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(data, UNPACKED_BYTES_MAX)
    if not unpacking.eof:
        raise ValueError(f"it is cut off, or more than {UNPACKED_BYTES_MAX} bytes")
    return unpacked


def _zstd() -> Any:
    if sys.version_info < (3, 14):
        raise Unreadable("zstd needs Python 3.14 or newer; run this with one, or write with compression='zlib'")
    return import_module("compression.zstd")


def _zstd_unpack(data: bytes) -> bytes:
    zstd = _zstd()
    unpacking = zstd.ZstdDecompressor()
    unpacked: bytes = unpacking.decompress(data, UNPACKED_BYTES_MAX)
    if not unpacking.eof:
        raise ValueError(f"it is cut off, or more than {UNPACKED_BYTES_MAX} bytes")
    return unpacked


_PACK: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: zlib.compress(data, ZLIB_LEVEL),
    "zstd": lambda data: _zstd().compress(data),
}
_UNPACK: dict[str, Callable[[bytes], bytes]] = {"zlib": _zlib_unpack, "zstd": _zstd_unpack}


def check_compression(name: str | None) -> str:
    """The name of a compression that this Python has, or "". Raises ``InvalidInput``."""
    if not name:
        return ""
    if name not in _PACK:
        raise InvalidInput(f"compression is {' or '.join(map(repr, _PACK))}, or None, not {name!r:.60}")
    if name == "zstd" and sys.version_info < (3, 14):
        raise InvalidInput("zstd needs Python 3.14 or newer; use compression='zlib'")
    return name


def pack(name: str, data: bytes) -> bytes:
    return _PACK[name](data)


def is_compression(name: str) -> bool:
    return name in _UNPACK


def unpack(name: str, data: bytes) -> bytes:
    """Raises ``Unreadable`` for what was never packed so, or is too large."""
    try:
        return _UNPACK[name](data)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"it cannot be unpacked by {name}: {error}") from error
