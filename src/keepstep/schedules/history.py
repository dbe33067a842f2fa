"""History: what happened to a schedule and what it did, in the order of time, in words.

It comes from three places: the events of its run (how it was made and changed), its audit lines (what people have said
to it), and its diary (what it did, of which the last thousand turns are kept).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from keepstep.journal import AuditLine, Event, Loaded, Unreadable, cell_of

from . import diary
from .diary import Entry, Page, read_pages
from .overlap import Overlap
from .plan import CREATED, Plan, decode_opening
from .spec import spec_in_words
from .zone import local_time

_SAID = {"pause": "paused", "resume": "resumed", "trigger": "triggered", "backfill": "backfilled", "delete": "deleted"}
"""Kinds of what people have said, by the word that their audit lines begin with."""

_DID = {
    "triggered": "it was to fire once, now",
    "backfilled": "it was to make up for",
    "deleted": "what it had started went on",
}


class ScheduleEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a schedule did, or that was done to it. Times are aware, in the schedule's zone."""

    time: datetime
    kind: str
    """``created``, ``updated``, ``paused``, ``resumed``, ``triggered``, ``backfilled``, ``deleted``, and what it did:
    ``fired``, ``skipped``, ``buffered``, ``missed``, ``refused``, ``told`` (a run to stop), ``ended`` (a run)."""
    text: str
    """It in words."""
    scheduled_for: datetime | None = None
    """Of a firing; the first of them, where ``count`` is more than one."""
    until: datetime | None = None
    """The last of them."""
    count: int = 1
    id: str = ""
    """Of the run that it is about."""


def history_of(loaded: Loaded, audit: Iterable[AuditLine]) -> list[ScheduleEvent]:
    """All that is known. Raises ``Unreadable`` where what is sealed cannot be read."""
    plan = decode_opening(loaded.events[-1].data).plan
    zone = plan.spec.tz
    for data in loaded.state.values():
        if (cell := cell_of(data)) is not None:
            raise Unreadable(f"what the schedule did is {cell}, which cannot be read here; give the engine its codec")
    found: list[tuple[int, ScheduleEvent]] = [_made(each, zone) for each in loaded.events]
    found += [said for each in audit if (said := _said(each, zone)) is not None]
    found += [did for page in read_pages(loaded.state) for did in _did(page, zone)]
    return [event for _, event in sorted(found, key=lambda each: each[0])]


def _made(event: Event, zone: str) -> tuple[int, ScheduleEvent]:
    opening = decode_opening(event.data)
    kind = "created" if event.type == CREATED else "updated"
    paused = ", paused at first" if opening.paused else ""
    return event.time, ScheduleEvent(
        time=local_time(zone, event.time), kind=kind, text=f"{kind}: {_plan_in_words(opening.plan)}{paused}"
    )


def _plan_in_words(plan: Plan) -> str:
    limit = "" if plan.limit is None else f", {plan.limit} times at most"
    return f"starts {plan.action.type} at {spec_in_words(plan.spec)}, overlap {plan.overlap}{limit}"


def _said(line: AuditLine, zone: str) -> tuple[int, ScheduleEvent] | None:
    """None for what an event of the history tells."""
    word, _, rest = line.text.partition(": ")
    kind = _SAID.get(word.rstrip(":"))
    if kind is None:
        return None
    text = " ".join(each for each in (_DID.get(kind, ""), rest) if each)
    return line.time, ScheduleEvent(
        time=local_time(zone, line.time), kind=kind, text=f"{kind}: {text}" if text else kind
    )


def _did(page: Page, zone: str) -> Iterator[tuple[int, ScheduleEvent]]:
    for entry in page.entries:
        yield (
            page.time,
            ScheduleEvent(
                time=local_time(zone, page.time),
                kind=entry.kind,
                text=_in_words(entry, zone),
                scheduled_for=local_time(zone, entry.nominal) if entry.nominal else None,
                until=local_time(zone, entry.last) if entry.last else None,
                count=entry.count,
                id=entry.id,
            ),
        )


def _in_words(entry: Entry, zone: str) -> str:
    which = _which(entry, zone)
    if entry.kind == diary.FIRED:
        return f"fired {which}: started {entry.id}"
    if entry.kind == diary.REFUSED:
        return f"did not fire {which}: there was a run {entry.id} already"
    if entry.kind == diary.MISSED:
        return f"missed the firing {which}: it was late by more than the catch-up window"
    if entry.kind == diary.BUFFERED:
        return f"buffered the firing {which}: it waits until the run before it has ended"
    if entry.kind == diary.SKIPPED:
        return f"skipped the firing {which}: {entry.why}"
    if entry.kind == diary.TOLD:
        what = "ended" if entry.why == Overlap.TERMINATE else "asked to stop"
        return f"{entry.id} was {what}, so that the next one can start"
    if entry.kind == diary.ENDED:
        return f"{entry.id} has ended: {entry.why}"
    return f"and {entry.count} more things at once"


def _which(entry: Entry, zone: str) -> str:
    if not entry.nominal:
        return "by hand"
    first = f"for {local_time(zone, entry.nominal):%Y-%m-%d %H:%M:%S %Z}"
    if entry.count == 1:
        return first
    return f"{first} and {entry.count - 1} more, up to {local_time(zone, entry.last):%Y-%m-%d %H:%M:%S %Z}"
