"""Pattern: which local times a cron expression or a calendar means, and the next moment that has such a time.

Days are looked through one by one, months that cannot match as a whole. Within a day the moments grow with the local
time, except around a change of the clocks: there every stretch of the day is searched, and the earliest moment counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from datetime import date, timedelta

import msgspec

from .zone import Stretch, local_time, moment_of, stretches

YEARS_AHEAD_MAX = 60
"""A pattern that means no day in so many years means none: the 29th of February on a Monday comes within 40."""


class Pattern(msgspec.Struct, frozen=True):
    """Local times; the fields are sorted and not empty."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]
    months: frozenset[int]
    has_day: Callable[[date], bool]
    """Whether a day of one of the months is meant."""
    zone: str
    years: frozenset[int] | None = None

    def fits(self, moment: int) -> bool:
        """Whether the local time of a moment is one of those."""
        local = local_time(self.zone, moment)
        return (
            local.second in self.seconds
            and local.minute in self.minutes
            and local.hour in self.hours
            and self._fits_day(local.date())
        )

    def after(self, moment: int) -> int | None:
        """The next moment after this one; None if there will be none."""
        day = (local_time(self.zone, moment) - timedelta(days=1)).date()
        last = day.year + YEARS_AHEAD_MAX if self.years is None else max(self.years)
        while day.year <= last:
            if day.month not in self.months or (self.years is not None and day.year not in self.years):
                day = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
                continue
            found = self._on(day, moment)
            if found is not None:
                following = day + timedelta(days=1)  # around a change at midnight its moments may come before
                others = self._on(following, moment) if len(stretches(self.zone, day)) > 1 else None
                return found if others is None else min(found, others)
            day += timedelta(days=1)
        return None

    def last_alike(self, moment: int) -> int:
        """A moment, not before the given one, up to which all moments fit as that one does."""
        if (len(self.hours), len(self.minutes), len(self.seconds)) != (24, 60, 60):
            return moment
        tomorrow = local_time(self.zone, moment).date() + timedelta(days=1)
        return min(moment_of(tomorrow, each.first, each.offset) for each in stretches(self.zone, tomorrow)) - 1

    def _fits_day(self, day: date) -> bool:
        return day.month in self.months and (self.years is None or day.year in self.years) and self.has_day(day)

    def _on(self, day: date, after: int) -> int | None:
        """The first moment of a local day that comes after another."""
        if not self._fits_day(day):
            return None
        found = (self._within(day, each, after) for each in stretches(self.zone, day) if self._means(each))
        return min((each for each in found if each is not None), default=None)

    def _means(self, stretch: Stretch) -> bool:
        return not stretch.is_repeated or len(self.hours) == 24

    def _within(self, day: date, stretch: Stretch, after: int) -> int | None:
        passed = (after - moment_of(day, 0, stretch.offset)) // 1_000_000 + 1
        second = self._second_from(max(stretch.first, passed))
        return moment_of(day, second, stretch.offset) if second is not None and second < stretch.end else None

    def _second_from(self, second: int) -> int | None:
        """The first second of a day, from this one on, that is meant."""
        hour, minute, rest = second // 3600, second // 60 % 60, second % 60
        for at in self.hours[bisect_left(self.hours, hour) :]:
            if at > hour:
                return at * 3600 + self.minutes[0] * 60 + self.seconds[0]
            for then in self.minutes[bisect_left(self.minutes, minute) :]:
                if then > minute:
                    return at * 3600 + then * 60 + self.seconds[0]
                if (place := bisect_left(self.seconds, rest)) < len(self.seconds):
                    return at * 3600 + then * 60 + self.seconds[place]
        return None
