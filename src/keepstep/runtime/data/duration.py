"""Duration: a length of time as users write it."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from keepstep.journal import InvalidInput

Duration = float | int | timedelta | str
"""Seconds, a ``timedelta``, or text such as ``"90s"``, ``"1h30m"``, ``"500ms"``, ``"7d"``."""

SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
DURATION_SECONDS_MAX = 100 * 366 * 86_400
"""A century. What is longer is a mistake, and would not fit where engine time is added to it."""

_ALLOWED = 'seconds (1.5), a timedelta, or text of numbers with units ms, s, m, h, d, w such as "90s", "2h" or "1h30m"'
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|[smhdw])")


def to_seconds(value: Duration) -> float:
    """A duration in seconds. Raises ``InvalidInput`` for what is negative, not finite, too long or not understood."""
    seconds = _seconds_of(value)
    if isinstance(value, int) and seconds is None and not isinstance(value, bool):
        raise InvalidInput(f"the duration, a number of {value.bit_length()} bits, is too long; give {_ALLOWED}")
    if seconds is None or not math.isfinite(seconds):
        raise InvalidInput(f"{value!r:.100} is not a duration; give {_ALLOWED}")
    if seconds < 0:
        raise InvalidInput(f"the duration {value!r} is negative; give {_ALLOWED}")
    if seconds > DURATION_SECONDS_MAX:
        raise InvalidInput(f"the duration {value!r:.100} is longer than a century; give {_ALLOWED}")
    return seconds


def _seconds_of(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        return _parse(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def _parse(text: str) -> float | None:
    """Numbers with units, each unit at most once and the greater before the smaller; None for anything else."""
    text = text.strip()
    seconds, position, last_unit = 0.0, 0, math.inf
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or SECONDS_PER_UNIT[part[2]] >= last_unit:
            return None
        last_unit = SECONDS_PER_UNIT[part[2]]
        seconds += float(part[1]) * last_unit
        position = part.end()
    return seconds if text else None
