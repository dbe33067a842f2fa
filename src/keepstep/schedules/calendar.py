"""Calendar and cron: two ways to write down local times; the words of both are read by ``cronsim``.

In a calendar all fields must fit. In a cron expression a day fits if its day of the month *or* its day of the week does
where both are given, as cron has always had it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache

import msgspec
from cronsim.cronsim import CronSim, CronSimError

from keepstep.journal import InvalidInput

from .pattern import Pattern

Field = int | str | Sequence[int | str]
"""One value, text such as ``"MON-FRI"``, ``"1,15"`` or ``"*/5"``, or several of them."""

_EXPECTED = {
    "second": "0-59",
    "minute": "0-59",
    "hour": "0-23",
    "day": '1-31, or "L" for the last of the month, "LW" for its last working day',
    "month": "1-12 or JAN-DEC",
    "weekday": '0-7 (0 and 7 are Sunday) or SUN-SAT; "MON#2" for the second, "5L" for the last of the month',
}
_SHAPES = "lists such as 1,15, ranges such as 1-5, and steps such as */5"
_FINEST_FIRST = ("second", "minute", "hour", "day")
_LOWEST = {"second": "0", "minute": "0", "hour": "0", "day": "1"}
_YEAR_MAX = 2200


class Calendar(msgspec.Struct, frozen=True, omit_defaults=True):
    """Local times, field by field: ``Calendar(weekday="MON-FRI", hour=9)`` is nine o'clock on working days.

    What is left out means any, if it is coarser than what is given, and the lowest, if it is finer. Among the times to
    be excluded, whatever is left out means any.
    """

    year: Field = ""
    month: Field = ""
    day: Field = ""
    weekday: Field = ""
    hour: Field = ""
    minute: Field = ""
    second: Field = ""


@lru_cache(maxsize=4096)
def cron_pattern(text: str, zone: str) -> Pattern:
    """What a cron expression means: five fields, or six of which the first is the second."""
    parts = text.split()
    if len(parts) not in (5, 6):
        raise InvalidInput(
            f"cron={text!r:.100} has {len(parts)} fields; it takes five (minute hour day month weekday), or six with "
            "the second before them"
        )
    names = list(_EXPECTED)[-len(parts) :]
    return _pattern(dict(zip(names, parts, strict=True)), f"cron={text!r:.100}", zone, joins_days=False)


@lru_cache(maxsize=4096)
def calendar_pattern(calendar: Calendar, zone: str, *, excludes: bool = False) -> Pattern:
    """What a calendar means."""
    fields = {name: _text(getattr(calendar, name)) for name in _EXPECTED}
    if not excludes:
        _complete(fields)
    where = f"calendar {_shown(calendar)}"
    return _pattern(fields, where, zone, joins_days=True, years=_years(calendar.year, where))


def _complete(fields: dict[str, str]) -> None:
    """Fields that are finer than all that is given get their lowest value."""
    for name in _FINEST_FIRST:
        if fields[name] or (name == "day" and fields["weekday"]):
            return
        fields[name] = _LOWEST[name]


def plain(calendar: Calendar) -> Calendar:
    """The same calendar with text in its fields, as it is kept."""
    return Calendar(*(_text(getattr(calendar, name)) for name in Calendar.__struct_fields__))


def whole_day(day: date) -> Calendar:
    """The calendar of one day."""
    return Calendar(year=str(day.year), month=str(day.month), day=str(day.day))


def _text(value: Field) -> str:
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return str(value).strip().upper()
    if isinstance(value, Sequence) and value and all(isinstance(each, (int, str)) for each in value):
        return ",".join(_text(each) for each in value)
    raise InvalidInput(f"a field of a calendar takes a number, text, or several of them, not {value!r:.100}")


def _shown(calendar: Calendar) -> str:
    given = ((name, getattr(calendar, name)) for name in Calendar.__struct_fields__)
    return f"({', '.join(f'{name}={value!r:.60}' for name, value in given if value != '')})"


def _pattern(
    fields: dict[str, str], where: str, zone: str, *, joins_days: bool, years: frozenset[int] | None = None
) -> Pattern:
    texts = {name: (fields.get(name) or ("0" if name == "second" and not joins_days else "*")).upper()
             for name in _EXPECTED}  # fmt: skip
    for name, text in texts.items():
        _check(name, text, where)
    try:
        parsed = CronSim(" ".join(texts.values()), datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError:
        raise InvalidInput(f"{where}: no month has such a day; it would never fire") from None
    return Pattern(
        hours=tuple(sorted(parsed.hours)),
        minutes=tuple(sorted(parsed.minutes)),
        seconds=tuple(sorted(parsed.seconds)),
        months=frozenset(parsed.months),
        has_day=_both(parsed) if joins_days else parsed.match_day,
        zone=zone,
        years=years,
    )


def _both(parsed: CronSim) -> Callable[[date], bool]:
    def has_day(day: date) -> bool:
        return parsed.match_dom(day) and parsed.match_dow(day)

    return has_day


def _check(name: str, text: str, where: str) -> None:
    """Each field alone, so that the error can name it."""
    if not any(each.isspace() for each in text):
        alone = ["*"] * len(_EXPECTED)
        alone[list(_EXPECTED).index(name)] = text
        try:
            CronSim(" ".join(alone), datetime(2026, 1, 1, tzinfo=UTC))
            return
        except (CronSimError, ValueError, AssertionError):
            pass
    raise InvalidInput(f"{where}: the {name} {text!r:.60} is not understood; it takes {_EXPECTED[name]}; {_SHAPES}")


def _years(value: Field, where: str) -> frozenset[int] | None:
    text = _text(value)
    if text in ("", "*"):
        return None
    found = set[int]()
    for part in text.split(","):
        first, _, last = part.partition("-")
        ends = (first, last or first)
        if not all(each.isascii() and each.isdigit() and 1970 <= int(each) <= _YEAR_MAX for each in ends):
            raise InvalidInput(
                f"{where}: the year {part!r:.60} is not understood; it takes 1970-{_YEAR_MAX}, lists and ranges"
            )
        found.update(range(int(ends[0]), int(ends[1]) + 1))
    if not found:
        raise InvalidInput(f"{where}: the year {text!r:.60} ends before it begins")
    return frozenset(found)
