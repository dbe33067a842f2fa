"""Diary: what a schedule has done, for people who ask why something was started, or was not.

Whoever decides for a schedule writes a page of it in the same commit, so that a page is there if and only if what it
tells has happened. The pages are state of the schedule's run and go round: the ``PAGES_MAX`` last ones are kept, and
nobody reads them to decide anything. What users do to a schedule is not in it: that is told by the schedule's history
and its audit lines (``schedules.history``).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from keepstep.journal import StateChange

DIARY = "diary"
"""Kind of the state."""

PAGES_MAX = 1000
ENTRIES_MAX = 500
"""Of one page; what one turn does beyond it is counted."""

FIRED, REFUSED, SKIPPED, BUFFERED = "fired", "refused", "skipped", "buffered"
MISSED, TOLD, ENDED, MORE = "missed", "told", "ended", "more"

_IN_A_ROW = (SKIPPED, BUFFERED, MISSED)
"""Of many such firings in a row one entry tells."""


class Entry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One thing that was done. Fields are only ever added at the end, with defaults."""

    kind: str
    nominal: int = 0
    """Of the firing, or of the first of several; 0 for one that was asked for by hand, and where there is none."""
    id: str = ""
    """Of the run that it is about."""
    why: str = ""
    """Why it was skipped; how a run has ended; what a run was told."""
    count: int = 1
    last: int = 0
    """Nominal time of the last of several."""


class Page(msgspec.Struct, frozen=True, array_like=True):
    """What one turn has done."""

    number: int
    time: int
    entries: tuple[Entry, ...]


class Diary:
    """What the turn at hand has done so far."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._more = 0

    def note(self, kind: str, nominal: int = 0, *, id: str = "", why: str = "") -> None:
        """Note one thing; several of a kind in a row, for one reason, are one entry."""
        before = self._entries[-1] if self._entries else None
        if before is not None and kind in _IN_A_ROW and (before.kind, before.why) == (kind, why):
            first = before.nominal or nominal
            self._entries[-1] = Entry(kind, first, "", why, before.count + 1, nominal)
        elif len(self._entries) < ENTRIES_MAX:
            self._entries.append(Entry(kind, nominal, id, why))
        else:
            self._more += 1

    def entries(self) -> tuple[Entry, ...]:
        """All of it, in order."""
        more = (Entry(MORE, count=self._more),) if self._more else ()
        return (*self._entries, *more)


def write_page(page: Page) -> StateChange:
    """The change of state that keeps a page, in the place of the one that is ``PAGES_MAX`` older."""
    return StateChange(DIARY, f"{page.number % PAGES_MAX:04}", msgspec.msgpack.encode(page))


def read_pages(state: Mapping[tuple[str, str], bytes]) -> list[Page]:
    """The pages that there are, the oldest first."""
    pages = [msgspec.msgpack.decode(data, type=Page) for (kind, _), data in state.items() if kind == DIARY]
    return sorted(pages, key=lambda each: each.number)
