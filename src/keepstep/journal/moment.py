"""Moment: a time as people and JSON write it (RFC 3339), and as the journal counts it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-](0[0-9]|1[0-5]):[0-5][0-9])"
)


def moment_of(text: str) -> int | None:
    """UTC microseconds of an RFC 3339 time, which has a time zone; None for any other text."""
    return microseconds_of(text) if _RFC_3339.fullmatch(text) else None


def microseconds_of(text: str) -> int | None:
    """UTC microseconds of any ISO 8601 time or date; one without a time zone is in UTC. None for any other text."""
    try:
        time = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return (aware - _EPOCH) // timedelta(microseconds=1)
