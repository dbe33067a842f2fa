"""Zone: local days as stretches of one offset from UTC, so that every local time has its moments.

Two rules for the hours at which clocks are changed. A local time that *does not exist* is read by the clock before the
change, so that 02:30 in a night in which clocks go from 02:00 to 03:00 is 03:30. A local time that is there *twice*
means the first; patterns that name every hour follow real time, and mean both.

That is what ``fold=0`` says of a ``datetime`` (PEP 495): the offsets of a day are found by asking for it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from keepstep.journal import InvalidInput

DAY_SECONDS = 86_400
EPOCH_DAY = date(1970, 1, 1).toordinal()


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """Seconds of a local day, ``first`` up to but not including ``end``, that are ``offset`` seconds ahead of UTC."""

    first: int
    end: int
    offset: int
    is_repeated: bool = False
    """The same local seconds have passed before, on the same day."""


@lru_cache(maxsize=512)
def find_zone(name: str) -> ZoneInfo:
    """The zone of that IANA name. Raises ``InvalidInput`` where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(
            f"tz={name!r:.100} is no time zone known here; give an IANA name such as 'Europe/Berlin' (where this "
            "machine has no zones at all, install the package tzdata)"
        ) from None


@lru_cache(maxsize=4096)
def stretches(zone: str, day: date) -> tuple[Stretch, ...]:
    """The stretches of a local day, those that are repeated last."""
    starts = sorted({0, *_change(zone, day, 0), *_change(zone, day, 1)})
    found, repeated = list[Stretch](), list[Stretch]()
    for first, end in zip(starts, [*starts[1:], DAY_SECONDS], strict=True):
        once, again = _offset(zone, day, first, 0), _offset(zone, day, first, 1)
        found.append(Stretch(first, end, once))
        if again < once:
            repeated.append(Stretch(first, end, again, True))
    return (*found, *repeated)


def _offset(zone: str, day: date, second: int, fold: int) -> int:
    local = datetime(day.year, day.month, day.day, tzinfo=find_zone(zone), fold=fold) + timedelta(seconds=second)
    offset = local.replace(fold=fold).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _change(zone: str, day: date, fold: int) -> list[int]:
    """The second of the day from which on its offset is another one."""
    low, high = 0, DAY_SECONDS - 1
    before = _offset(zone, day, low, fold)
    if _offset(zone, day, high, fold) == before:
        return []
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, day, middle, fold) == before:
            low = middle
        else:
            high = middle
    return [high]


def moment_of(day: date, second: int, offset: int) -> int:
    """Engine time of a local second of a day."""
    return ((day.toordinal() - EPOCH_DAY) * DAY_SECONDS + second - offset) * 1_000_000


def local_time(zone: str, moment: int) -> datetime:
    """The local time of a moment of engine time."""
    return datetime.fromtimestamp(moment // 1_000_000, UTC).astimezone(find_zone(zone))
