"""Identifiers: UUIDv7, so that ids made later sort later (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable

IdFactory = Callable[[], str]
"""Makes a new run id; handed in, so that a simulation can own it."""


def uuid7(now_ms: int | None = None, entropy: bytes | None = None) -> str:
    """A UUIDv7 in canonical text form: 48 bits of Unix milliseconds, then 74 random bits."""
    ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    noise = int.from_bytes(os.urandom(10) if entropy is None else entropy[:10])
    value = (ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (noise >> 62 & 0xFFF) << 64 | 0b10 << 62 | noise & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def made_at_ms(id: str) -> int | None:
    """When a UUIDv7 was made, in Unix milliseconds; None for what is no UUIDv7."""
    try:
        value = uuid.UUID(id)
    except ValueError:
        return None
    return value.int >> 80 if value.version == 7 else None
