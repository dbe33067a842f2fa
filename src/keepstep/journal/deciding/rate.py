"""Rate: a sliding window over hand-outs, of a whole queue and of each fairness key.

In no stretch of a window's length, wherever it begins, are there more hand-outs than it says. The moments of the last
ones are kept with the queue. Those within a part of the window (``WINDOW_PARTS``, ``KEY_PARTS``) are kept together
under the last of their moments, so that there are never more than about as many entries: hand-outs may come that much
later than they could, never earlier. A clock that goes back is taken to stand still.

Of a rate for each key a queue remembers the keys that had something within the window, but no more than ``KEYS_MAX``.
While it remembers that many, others wait until one of these is forgotten: later than they could, never too many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from keepstep.journal.queue import Rate

Handed = list[tuple[int, int, int]]
"""First and last moment, and how many."""

WINDOW_PARTS = 64
KEY_PARTS = 16
KEYS_MAX = 2_000


def room_in(rate: Rate, handed: Handed, now: int) -> int:
    """How many more the window has room for; negative where the rate was lowered."""
    now = _steady(handed, now)
    return rate.count - sum(count for _, last, count in handed if last > now - rate.microseconds)


def noted(rate: Rate, handed: Handed, now: int, count: int, parts: int = WINDOW_PARTS) -> Handed:
    """What is remembered when so many more were handed out now."""
    now = _steady(handed, now)
    kept = [each for each in handed if each[1] > now - rate.microseconds]
    if kept and now - kept[-1][0] < rate.microseconds // parts:
        first, _, before = kept.pop()
        return [*kept, (first, now, before + count)]
    return [*kept, (now, now, count)]


def again_at(rate: Rate, handed: Handed, now: int) -> int | None:
    """When the window has room again, if it has none."""
    now = _steady(handed, now)
    too_many = -room_in(rate, handed, now)
    if too_many < 0:
        return None
    for _, last, count in handed:
        if last > now - rate.microseconds:
            too_many -= count
            if too_many < 0:
                return last + rate.microseconds
    return None


def _steady(handed: Handed, now: int) -> int:
    return max(now, handed[-1][1]) if handed else now


class KeyRates:
    """The windows of the keys of one queue, during one claim."""

    def __init__(self, rate: Rate | None, by_key: dict[str, Handed], now: int) -> None:
        self._rate = rate
        self._now = now
        self._by_key = (
            {} if rate is None else {key: each for key, each in by_key.items() if _is_within(rate, each, now)}
        )
        self._taken: dict[str, int] = {}
        self._held_up: set[str] = set()

    def allows(self, key: str) -> bool:
        """Whether one more of a key may be handed out. A key of which none may is held up."""
        if self._rate is None:
            return True
        if key in self._by_key:
            is_free = room_in(self._rate, self._by_key[key], self._now) > self._taken.get(key, 0)
        else:
            new = sum(each not in self._by_key for each in self._taken)
            is_free = self._taken.get(key, 0) < self._rate.count and (
                key in self._taken or len(self._by_key) + new < KEYS_MAX
            )
        if not is_free:
            self._held_up.add(key)
        return is_free

    def take(self, key: str) -> None:
        self._taken[key] = self._taken.get(key, 0) + 1

    def note(self, keys: Iterable[str]) -> dict[str, Handed]:
        """What is remembered when one of each of these was handed out, as often as they are named."""
        if self._rate is None:
            return {}
        for key, count in Counter(keys).items():
            self._by_key[key] = noted(self._rate, self._by_key.get(key, []), self._now, count, KEY_PARTS)
        return self._by_key

    def again_at(self) -> int | None:
        """When a key that is held up may have one more, after ``note``."""
        if self._rate is None or not self._held_up:
            return None
        known = [each for key in self._held_up if (each := self._by_key.get(key)) is not None]
        times = [again_at(self._rate, each, self._now) for each in known]
        if len(known) < len(self._held_up):  # one that there was no room to remember
            times.append(min(each[-1][1] for each in self._by_key.values()) + self._rate.microseconds)
        return min((time for time in times if time is not None), default=None)


def _is_within(rate: Rate, handed: Handed, now: int) -> bool:
    return bool(handed) and handed[-1][1] > now - rate.microseconds
