"""Turn: what a queue with limits hands out next. One rule for all stores; each shows its rows as a ``Shelf``.

1. *How many*: the least of what the concurrency, the worker and the rate leave over.
2. *Which*: the highest priority first. Within one priority the fairness keys take turns, in their order and round again
   (deficit round robin): each gets as many as its weight says before the next one has its turn. So a key with ten
   thousand tasks takes one turn among the others, and none of its tasks is looked at but the next ones. Where the round
   stood is kept with the queue (``Progress``). Within one key the older goes first.
3. ``per_key``, ``rate_per_key``: a key that holds all of its slots, or has had all that its window allows, is passed
   over.

Rates are windows over the hand-outs that the queue remembers (``rate``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from keepstep.journal.queue import Limits

from .rate import Handed, KeyRates, again_at, noted, room_in

KEYS_MIN = 20
"""Keys looked at together at least: some of them may have nothing that is visible, or be full."""

ROUNDS_MAX = 100
"""Priorities whose rounds are remembered."""

LEVELS_MAX = 1000
"""Different priorities looked at in one claim."""


class Progress(msgspec.Struct, omit_defaults=True):
    """What a queue remembers of its hand-outs. Changed only by claims, which take turns."""

    handed: Handed = []
    rounds: dict[str, tuple[str, int]] = {}
    """By priority: the key that had its turn last, and how many more it may still get in it."""
    by_key: dict[str, Handed] = {}
    """By fairness key, where there is a rate for each."""


progress_of = msgspec.json.Decoder(Progress).decode


class Shelf(Protocol):
    """The rows of one queue, as of a moment at which nobody else hands out any."""

    def held(self) -> int: ...

    def held_by_worker(self) -> int: ...

    def held_by_key(self) -> dict[str, int]: ...

    def priorities(self, limit: int) -> list[int]:
        """Of what waits, highest first."""
        ...

    def keys(self, priority: int, begin: str, limit: int) -> list[str]:
        """Fairness keys of what waits, from ``begin`` on, in their order."""
        ...

    def first_of(self, priority: int, keys: Sequence[str], limit: int) -> dict[str, list[int]]:
        """Of each key up to ``limit`` tasks that may be handed out now, oldest first."""
        ...


class Turn:
    """One claim from one queue: what is handed out now, and what is remembered of it."""

    def __init__(self, limits: Limits, progress: Progress, now: int) -> None:
        self._limits = limits
        self._progress = progress
        self._now = now
        self._rates = KeyRates(limits.rate_per_key, progress.by_key, now)
        self._keys: dict[int, str] = {}

    def hand_out(self, shelf: Shelf, limit: int) -> list[int]:
        """What may be handed out, in order. ``note`` tells how much of it could be."""
        room = room_of(self._limits, self._progress, shelf, self._now, limit)
        self._keys = choose(self._limits, self._progress, shelf, room, self._rates)
        return list(self._keys)

    def note(self, tasks: Sequence[int]) -> None:
        """These were handed out. Called in any case, so that what is over is forgotten."""
        rate, progress = self._limits.rate, self._progress
        if rate is None:
            progress.handed = []
        elif tasks:
            progress.handed = noted(rate, progress.handed, self._now, len(tasks))
        progress.by_key = self._rates.note(self._keys[task] for task in tasks)

    def again_at(self) -> int | None:
        """When a rate allows more; None where none is in the way."""
        rate = self._limits.rate
        times = [self._rates.again_at(), None if rate is None else again_at(rate, self._progress.handed, self._now)]
        return min((time for time in times if time is not None), default=None)


def room_of(limits: Limits, progress: Progress, shelf: Shelf, now: int, limit: int) -> int:
    """How many may be handed out."""
    room = limit
    if limits.concurrency is not None:
        room = min(room, limits.concurrency - shelf.held())
    if limits.per_worker is not None and room > 0:
        room = min(room, limits.per_worker - shelf.held_by_worker())
    if limits.rate is not None:
        room = min(room, room_in(limits.rate, progress.handed, now))
    return max(room, 0)


def choose(limits: Limits, progress: Progress, shelf: Shelf, room: int, rates: KeyRates) -> dict[int, str]:
    """Up to ``room`` tasks, in the order in which they are handed out, and their keys."""
    chosen: dict[int, str] = {}
    left = _Left(limits.per_key, shelf, rates)
    for priority in shelf.priorities(LEVELS_MAX) if room > 0 else ():
        chosen |= _deal(limits, progress, shelf, priority, room - len(chosen), left)
        if len(chosen) >= room:
            break
    return chosen


class _Left:
    """How many more each key may get."""

    def __init__(self, per_key: int | None, shelf: Shelf, rates: KeyRates) -> None:
        self._per_key = per_key
        self._held = {} if per_key is None else shelf.held_by_key()
        self._rates = rates

    def of(self, key: str) -> bool:
        return (self._per_key is None or self._held.get(key, 0) < self._per_key) and self._rates.allows(key)

    def take(self, key: str) -> None:
        self._held[key] = self._held.get(key, 0) + 1
        self._rates.take(key)


def _deal(limits: Limits, progress: Progress, shelf: Shelf, priority: int, room: int, left: _Left) -> dict[int, str]:
    """Tasks of one priority, a round of keys after another."""
    chosen: dict[int, str] = {}
    last, more = progress.rounds.get(str(priority), (None, 0))
    begin = "" if last is None else last if more else after(last)
    for page in _pages(shelf, priority, begin, max(room, KEYS_MIN)):
        heaviest = max(limits.weights.get(key, 1) for key in page)
        each = room if len(page) == 1 else max(heaviest, -(-room // len(page)))
        found = shelf.first_of(priority, [key for key in page if left.of(key)], each)
        waiting = {key: list(found[key]) for key in page if found.get(key)}
        while waiting and len(chosen) < room:
            for key in list(waiting):
                quota = more if key == last and more else limits.weights.get(key, 1)
                last, more = key, quota
                while more and waiting[key] and left.of(key) and len(chosen) < room:
                    chosen[waiting[key].pop(0)] = key
                    left.take(key)
                    more -= 1
                if not waiting[key] or not left.of(key):
                    del waiting[key]
                    more = 0
                if len(chosen) >= room:
                    break
        if len(chosen) >= room:
            break
    if chosen and last is not None:
        kept = [each for each in progress.rounds.items() if each[0] != str(priority)][1 - ROUNDS_MAX :]
        progress.rounds = {**dict(kept), str(priority): (last, more)}
    return chosen


def _pages(shelf: Shelf, priority: int, begin: str, size: int) -> Iterator[list[str]]:
    """All keys, in pages: from ``begin`` on, and then those before it."""
    for start, end in ((begin, None), ("", begin)) if begin else (("", None),):
        page = None
        while page is None or len(page) == size:
            page = shelf.keys(priority, start if page is None else after(page[-1]), size)
            wanted = [key for key in page if end is None or key < end]
            if wanted:
                yield wanted
            if len(wanted) < len(page):
                break


def after(key: str) -> str:
    """The next text behind a key; none has a character below U+0001."""
    return key + "\x01"
