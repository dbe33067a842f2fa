"""Subscribers' cursors, published definitions, remembered commits, and the removal of what retention has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keepstep.journal.closed import ClosedRun
from keepstep.journal.definition import Definition
from keepstep.journal.event import Position
from keepstep.journal.kept import KeptIn, Swap

from .head import Head
from .picture import Picture, Wants

COMMIT_IDS_KEPT_MICROSECONDS = 2 * 3600 * 1_000_000

PURGE_EVENTS_MAX = 20_000
"""Of one transaction; and those of one run more, because a run is removed whole."""

PURGE_RUNS_PASSED_OVER_MAX = 10_000


def save_cursor(picture: Picture, cursor: tuple[str, Position]) -> None:
    subscriber, position = cursor
    picture.tables.save_cursor(subscriber, position)


def publish(picture: Picture, definitions: Sequence[Definition]) -> None:
    picture.tables.publish(definitions)


def was_committed(picture: Picture, commit_id: str) -> bool:
    """Asked through the writer's queue, so that it comes after the commit that it asks about."""
    picture.write()
    return picture.tables.was_committed(commit_id)


def forget_commit_ids(picture: Picture, _: None) -> None:
    """Commit ids are known for at least an hour."""
    picture.tables.forget_commit_ids(picture.now - COMMIT_IDS_KEPT_MICROSECONDS)


def swap_kept(picture: Picture, swapped: tuple[KeptIn, Sequence[Swap]]) -> None:
    """What this group has drawn is written first, so that it is there to be compared."""
    picture.write()
    picture.tables.swap_kept(*swapped)


def want_removal(wants: Wants, seen: Sequence[ClosedRun]) -> None:
    wants.run_ids.update(each.run_id for each in seen)


def remove_runs(picture: Picture, seen: Sequence[ClosedRun]) -> list[str]:
    """Remove runs that are closed and as they were seen; their run ids.

    A run is known by its version: one that was reopened has another, and keeps it when it is closed once more.
    """
    there = {head.run: head for each in seen if (head := _as_seen(picture, each)) is not None}
    if not there:
        return []
    picture.write()
    removed = [there[run] for run in picture.tables.remove_runs(list(there))]
    for head in removed:
        picture.drop(head)
    return [head.run_id for head in removed]


def _as_seen(picture: Picture, seen: ClosedRun) -> Head | None:
    head = picture.find(seen.run_id)
    return None if head is None or head.is_open() or head.version() != seen.version else head


def in_transactions(seen: Sequence[ClosedRun]) -> Iterator[list[ClosedRun]]:
    """Parts that are removed by a transaction each: others wait until it has ended."""
    part: list[ClosedRun] = []
    events = 0
    for each in seen:
        part.append(each)
        events += each.last_seq
        if events >= PURGE_EVENTS_MAX:
            yield part
            part, events = [], 0
    if part:
        yield part


def purge(picture: Picture, which: tuple[str, int, int]) -> int:
    """Remove closed runs, longest closed first, but none with events that a registered subscriber has not read.

    Fewer than ``limit``, where they have many events: other processes wait until these are gone.
    """
    namespace, closed_before, limit = which
    picture.write()
    limit = max(limit, 0)
    looked_at_max = limit + PURGE_RUNS_PASSED_OVER_MAX
    removed = picture.tables.purge(namespace, closed_before, limit, looked_at_max, PURGE_EVENTS_MAX)
    picture.refresh()
    return removed
