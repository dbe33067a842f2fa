"""Subscribers' cursors, published definitions, remembered commits, and the removal of what retention has ended."""

from __future__ import annotations

from collections.abc import Sequence

from keepstep.journal.definition import Definition
from keepstep.journal.event import Position

from . import statements as sql
from .picture import Picture
from .rows import to_json

COMMIT_IDS_KEPT_MICROSECONDS = 2 * 3600 * 1_000_000

PURGE_EVENTS_MAX = 20_000
"""Of one transaction; and those of one run more, because a run is removed whole."""

PURGE_RUNS_PASSED_OVER_MAX = 10_000


def save_cursor(picture: Picture, cursor: tuple[str, Position]) -> None:
    subscriber, position = cursor
    picture.connection.execute(sql.SAVE_CURSOR, (subscriber, position.shard, position.n))


def publish(picture: Picture, definitions: Sequence[Definition]) -> None:
    for one in definitions:
        row = (one.namespace, one.language, one.kind, one.name, to_json(one))
        picture.connection.execute(sql.PUBLISH, row)


def was_committed(picture: Picture, commit_id: str) -> bool:
    """Asked through the writer's queue, so that it comes after the commit that it asks about."""
    picture.write()
    return bool(picture.connection.execute(sql.WAS_COMMITTED, (commit_id,)).fetchone()[0])


def forget_commit_ids(picture: Picture, _: None) -> None:
    """Commit ids are known for at least an hour."""
    picture.connection.execute(sql.FORGET_COMMIT_IDS, (picture.now - COMMIT_IDS_KEPT_MICROSECONDS,))


def purge(picture: Picture, which: tuple[str, int, int]) -> int:
    """Remove closed runs, longest closed first, but none with events that a registered subscriber has not read.

    Fewer than ``limit``, where they have many events: other processes wait until these are gone.
    """
    namespace, closed_before, limit = which
    picture.write()
    asked = {"namespace": namespace, "closed_before": closed_before, "limit": max(limit, 0)}
    asked |= {"looked_at": max(limit, 0) + PURGE_RUNS_PASSED_OVER_MAX, "events": PURGE_EVENTS_MAX}
    runs, last = picture.connection.execute(sql.PURGEABLE_RUNS, asked).fetchone()
    picture.connection.execute(sql.MARK_PURGED, (last or 0,))
    removed = 0
    for statement in sql.PURGE_RUNS:
        removed = picture.connection.execute(statement, (runs,)).rowcount
    picture.refresh()
    return removed
