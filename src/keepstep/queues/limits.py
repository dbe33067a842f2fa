"""Limits as users write them, checked, and written as users would."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from keepstep.journal import InvalidInput, Limits, Rate
from keepstep.journal.queue import WEIGHT_MAX
from keepstep.runtime.data import Duration, checked_name, to_seconds

RateGiven = str | tuple[int, Duration]
"""``"100/m"``, ``"20/30s"`` or ``(100, "1m")``."""

NAMES = ("concurrency", "per_worker", "per_key", "rate", "rate_per_key", "weights")
COUNT_MAX = 1_000_000_000
RATE_SECONDS_MAX = 366 * 86_400.0

_RATE = re.compile(r"\s*(\d+)\s*/\s*(.+?)\s*")
_ALLOWED_RATE = 'a number of starts and a time, such as "100/m", "20/30s" or (100, "1m")'


def limits_of(name: str, given: Mapping[str, Any]) -> Limits:
    """The limits of a queue. Raises ``InvalidInput`` for what cannot be one."""
    unknown = [each for each in given if each not in NAMES]
    if unknown:
        raise InvalidInput(f"queue {name!r} has no limit {unknown[0]!r}; there are {', '.join(NAMES)}")
    weights = given.get("weights")
    return Limits(
        concurrency=_count(name, "concurrency", given.get("concurrency")),
        per_worker=_count(name, "per_worker", given.get("per_worker")),
        per_key=_count(name, "per_key", given.get("per_key")),
        rate=_rate(name, given.get("rate")),
        rate_per_key=_rate(name, given.get("rate_per_key")),
        weights={} if weights is None else _weights(name, weights),
    )


def _rate(name: str, given: Any) -> Rate | None:
    return None if given is None else rate_of(name, given)


def _count(name: str, what: str, value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= COUNT_MAX:
        raise InvalidInput(
            f"{what} of queue {name!r} is a whole number from 1 on, or None for no limit, not {value!r:.60}; "
            "pause a queue to have it hand out nothing"
        )
    return value


def rate_of(name: str, value: Any) -> Rate:
    """So many in so long."""
    count, span = _split_rate(name, value)
    try:
        seconds = to_seconds(f"1{span}" if isinstance(span, str) and span.isalpha() else span)
    except InvalidInput:
        raise InvalidInput(f"the rate of queue {name!r} is {_ALLOWED_RATE}, not {value!r:.60}") from None
    if not 1 <= count <= COUNT_MAX or not 0.001 <= seconds <= RATE_SECONDS_MAX:
        raise InvalidInput(
            f"the rate of queue {name!r} is at least 1 start in at least a millisecond and at most a year, "
            f"not {value!r:.60}"
        )
    return Rate(count, round(seconds * 1e6))


def _split_rate(name: str, value: Any) -> tuple[int, Duration]:
    if isinstance(value, str) and (parts := _RATE.fullmatch(value)):
        return int(parts[1]), parts[2]
    if isinstance(value, tuple | list) and len(value) == 2 and type(value[0]) is int:
        return value[0], value[1]
    raise InvalidInput(f"the rate of queue {name!r} is {_ALLOWED_RATE}, not {value!r:.60}")


def _weights(name: str, value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f'the weights of queue {name!r} are such as {{"gold": 3}}, not {value!r:.60}')
    for key, weight in value.items():
        checked_name(key, f"a key in the weights of queue {name!r}")
        if type(weight) is not int or not 1 <= weight <= WEIGHT_MAX:
            raise InvalidInput(
                f"the weight of {key!r} on queue {name!r} is a whole number from 1 to {WEIGHT_MAX}, not {weight!r:.60}"
            )
    return dict(value)


def shown_rate(rate: Rate | None) -> str | None:
    """``"100/m"``"""
    if rate is None:
        return None
    seconds = rate.microseconds / 1e6
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            times = int(seconds // size)
            return f"{rate.count}/{'' if times == 1 else times}{unit}"
    return f"{rate.count}/{seconds * 1000:g}ms"


def as_plain(limits: Limits) -> dict[str, Any]:
    """The limits that there are, as users write them."""
    plain = {name: getattr(limits, name) for name in NAMES}
    plain |= {name: shown_rate(plain[name]) for name in ("rate", "rate_per_key")}
    return {name: value for name, value in plain.items() if value}


def in_words(limits: Limits) -> str:
    """``concurrency 4, rate 100/m``"""
    return ", ".join(f"{name} {value}" for name, value in as_plain(limits).items()) or "no limits"
