"""Preview: when a schedule would fire, without one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from keepstep.journal import InvalidInput

from .spec import Timing, moment_given, read_spec, timing_of
from .zone import local_time

COUNT_MAX = 10_000


def upcoming(count: int = 10, *, after: datetime | None = None, **spec: Any) -> list[datetime]:
    """The next firings, in the schedule's time zone: ``upcoming(5, cron="0 9 * * MON-FRI", tz="Europe/Berlin")``.

    :param after: only later ones; by default, from now on. :param spec: as for ``Engine.schedule``.

    Jitter is left out: these are nominal times. Raises ``InvalidInput`` for a spec that is none.
    """
    if not 0 <= count <= COUNT_MAX:
        raise InvalidInput(f"count is 0 to {COUNT_MAX}, not {count!r:.60}")
    moment = moment_given(after or datetime.now(UTC), "after")
    assert moment is not None
    timing = timing_of(read_spec(**spec))
    return [local_time(timing.spec.tz, each) for each in following(timing, moment, count)]


def following(timing: Timing, moment: int, count: int) -> list[int]:
    """Up to so many nominal times after a moment."""
    found = list[int]()
    while len(found) < count and (following := timing.after(moment)) is not None:
        found.append(following)
        moment = following
    return found
