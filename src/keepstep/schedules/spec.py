"""Spec: when a schedule fires. As users write it, as it is kept, and the moments that it means.

A firing has a *nominal* time, which its run's id is made of, and a time at which it is *due*: later by the jitter,
which hangs on nothing but the schedule and the nominal time, and never beyond the next firing. So whoever computes it
computes the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from keepstep.journal import InvalidInput
from keepstep.runtime.data import Duration, to_seconds

from .calendar import Calendar, calendar_pattern, cron_pattern, plain, whole_day
from .pattern import Pattern
from .zone import find_zone

T = TypeVar("T")

EXCLUDED_IN_A_ROW_MAX = 10_000
"""A spec whose exclusions leave nothing of so many firings means none."""

ANSWERS_KEPT = 4096
"""Of all timings: the same question is asked several times a firing, and by each schedule of the same spec."""


class Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Any of its parts may fire; moments that several of them mean are one. Times are engine time in microseconds."""

    cron: tuple[str, ...] = ()
    every: tuple[int, ...] = ()
    """Intervals, counted from 1970-01-01T00:00:00Z."""
    offset: int = 0
    """By how much firings of intervals come later."""
    calendars: tuple[Calendar, ...] = ()
    exclude: tuple[Calendar, ...] = ()
    tz: str = "UTC"
    start_at: int | None = None
    end_at: int | None = None
    jitter: int = 0


def spec_in_words(spec: Spec) -> str:
    """When it fires, as its author said it."""
    said = [*spec.cron, *(f"every {each / 1e6:g} s" for each in spec.every)]
    for calendar in spec.calendars:
        fields = ((name, getattr(calendar, name)) for name in calendar.__struct_fields__)
        said.append(" ".join(f"{name} {value}" for name, value in fields if value))
    return f"{'; '.join(said)} ({spec.tz})"


class Timing:
    """The moments that a spec means. Raises ``InvalidInput`` for one that means something impossible."""

    def __init__(self, spec: Spec) -> None:
        find_zone(spec.tz)
        self.spec = spec
        self._patterns: list[Pattern] = [cron_pattern(each, spec.tz) for each in spec.cron]
        self._patterns += [calendar_pattern(each, spec.tz) for each in spec.calendars]
        self._excluded = [calendar_pattern(each, spec.tz, excludes=True) for each in spec.exclude]

    def after(self, moment: int) -> int | None:
        """The nominal time of the next firing after a moment; None if there is none any more."""
        return _find_after(self, moment)

    def find_after(self, moment: int) -> int | None:
        """The same, without remembering what was found before."""
        spec = self.spec
        if spec.start_at is not None:
            moment = max(moment, spec.start_at - 1)
        for _ in range(EXCLUDED_IN_A_ROW_MAX):
            found = min((each for each in self._candidates(moment) if each is not None), default=None)
            if found is None or (spec.end_at is not None and found > spec.end_at):
                return None
            excluding = [each for each in self._excluded if each.fits(found)]
            if not excluding:
                return found
            moment = max(each.last_alike(found) for each in excluding)
        return None

    def _candidates(self, moment: int) -> list[int | None]:
        offset = self.spec.offset
        repeated: list[int | None] = [((moment - offset) // each + 1) * each + offset for each in self.spec.every]
        return repeated + [each.after(moment) for each in self._patterns]

    def due_at(self, nominal: int, schedule: str) -> int:
        """When a firing is due."""
        if not self.spec.jitter:
            return nominal
        following = self.after(nominal)
        most = self.spec.jitter if following is None else min(self.spec.jitter, following - nominal)
        drawn = hashlib.blake2b(f"{schedule}\0{nominal}".encode(), digest_size=8).digest()
        return nominal + int.from_bytes(drawn) * most // (1 << 64)


@lru_cache(maxsize=ANSWERS_KEPT)
def _find_after(timing: Timing, moment: int) -> int | None:
    return timing.find_after(moment)


@lru_cache(maxsize=4096)
def timing_of(spec: Spec) -> Timing:
    """The timing of a spec; equal ones share it."""
    return Timing(spec)


def read_spec(
    *,
    cron: str | Sequence[str] = (),
    every: Duration | Sequence[Duration] = (),
    calendar: Calendar | Sequence[Calendar] = (),
    offset: Duration = 0,
    exclude: Any = (),
    tz: str = "UTC",
    start_at: datetime | None = None,
    end_at: datetime | None = None,
    jitter: Duration = 0,
) -> Spec:
    """The spec of what a user gave. Raises ``InvalidInput`` that names the field and what was expected."""
    if not isinstance(tz, str):
        raise InvalidInput(f"tz takes the name of a time zone such as 'Europe/Berlin', not {tz!r:.100}")
    spec = Spec(
        cron=tuple(" ".join(_text(each, "cron").split()) for each in _several(cron)),
        every=tuple(_interval(each) for each in _several(every)),
        calendars=tuple(plain(_calendar(each)) for each in _several(calendar)),
        offset=_microseconds(offset, "offset"),
        exclude=tuple(plain(_excluded(each)) for each in _several(exclude)),
        tz=tz,
        start_at=moment_given(start_at, "start_at"),
        end_at=moment_given(end_at, "end_at"),
        jitter=_microseconds(jitter, "jitter"),
    )
    if not (spec.cron or spec.every or spec.calendars):
        raise InvalidInput('a schedule needs a time: cron="0 9 * * MON-FRI", every="15m", or calendar=Calendar(hour=9)')
    if spec.start_at is not None and spec.end_at is not None and spec.end_at < spec.start_at:
        raise InvalidInput("end_at comes before start_at; the schedule would never fire")
    timing_of(spec)
    return spec


def _several(value: Any) -> Sequence[Any]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f'{name} takes text such as "0 9 * * MON-FRI", not {value!r:.100}')
    return value


def _calendar(value: Any) -> Calendar:
    if not isinstance(value, Calendar):
        raise InvalidInput(f"calendar takes a keepstep.schedules.Calendar, not {value!r:.100}")
    if value == Calendar():
        raise InvalidInput("calendar has no fields; give one, such as Calendar(hour=9)")
    return value


def _excluded(value: Any) -> Calendar:
    if isinstance(value, date) and not isinstance(value, datetime):
        return whole_day(value)
    if not isinstance(value, Calendar):
        raise InvalidInput(f"exclude takes dates and Calendars, not {value!r:.100}")
    return _calendar(value)


def _microseconds(value: Duration, name: str) -> int:
    try:
        return round(to_seconds(value) * 1e6)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from None


def _interval(value: Duration) -> int:
    length = _microseconds(value, "every")
    if length < 1_000_000:
        raise InvalidInput(f"every={value!r:.60} is too short; a schedule fires once a second at most")
    return length


def moment_given(value: datetime | None, name: str) -> int | None:
    """Engine time of an aware datetime. Raises ``InvalidInput`` for another thing."""
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidInput(f"{name} takes a datetime with a time zone, not {value!r:.100}")
    since = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds
