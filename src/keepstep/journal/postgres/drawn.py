"""Drawn: sends what a flush has drawn on its way, each table in one statement of arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keepstep.journal.deciding.codes import RUNNING, UNOFFERED, WAITING
from keepstep.journal.deciding.drawing import Drawing
from keepstep.journal.deciding.head import Head

from . import statements as sql
from .shard import shard_in
from .statement import Statement
from .wire import Wire

PART_BYTES_MAX = 64 * 1024 * 1024


class Counts:
    """How many events this flush has written to each shard so far."""

    def __init__(self) -> None:
        self.events: dict[int, int] = {}

    def place(self, runs: Iterable[int]) -> list[int]:
        """The place of each of these runs' next events among those of its shard."""
        counts, places = self.events, []
        for run in runs:
            shard = shard_in(run)
            place = counts.get(shard, 0)
            counts[shard] = place + 1
            places.append(place)
        return places


def send_drawing(wire: Wire, drawing: Drawing, counts: Counts) -> None:
    """All of it. Heads are clean afterwards."""
    _send_changed(wire, drawing)  # before the new runs: a continuation needs its ancestor closed
    if drawing.created:
        _send_created(wire, drawing.created)
    if drawing.events:
        _, *columns = _columns(drawing.events, 7)
        columns.append(counts.place(columns[0]))
        _send_in_parts(wire, sql.INSERT_EVENTS, columns, data=5)
    if drawing.messages:
        _send_in_parts(wire, sql.INSERT_MESSAGES, _columns(drawing.messages, 8), data=4)
    if drawing.consumed:
        wire.queue(sql.DELETE_MESSAGES, *zip(*drawing.consumed, strict=True))
    if drawing.received:
        wire.queue(sql.INSERT_RECEIVED, *_columns(drawing.received, 3))
    if drawing.state:
        _send_state(wire, drawing)
    if drawing.cleared_timers or drawing.timers:
        _send_timers(wire, drawing)
    if drawing.cleared_tasks:
        wire.queue(sql.DELETE_TASKS_OF_RUNS, drawing.cleared_tasks)
    if drawing.attributes:
        wire.queue(sql.INDEX_ATTRIBUTES, sorted({run for run, _ in drawing.attributes}))
    if drawing.commit_ids:
        runs, ids, times = _columns(drawing.commit_ids, 3)
        last = {commit_id: (run, time) for run, commit_id, time in zip(runs, ids, times, strict=True)}
        rows = [(run, commit_id, time) for commit_id, (run, time) in last.items()]
        wire.queue(sql.INSERT_COMMIT_IDS, *zip(*rows, strict=True))
    if drawing.audit:
        wire.queue(sql.INSERT_AUDIT, *_columns(drawing.audit, 3))


def _columns(values: list[Any], width: int) -> list[list[Any]]:
    """The columns of rows that stand one after another."""
    return [values[i::width] for i in range(width)]


def _send_in_parts(wire: Wire, statement: Statement, columns: list[Any], data: int) -> None:
    """So many rows at once as have so many bytes in their column ``data``: a message to the server has a limit."""
    if sum(map(len, columns[data])) <= PART_BYTES_MAX or len(columns[data]) == 1:
        wire.queue(statement, *columns)
        return
    half = len(columns[data]) // 2
    _send_in_parts(wire, statement, [column[:half] for column in columns], data)
    _send_in_parts(wire, statement, [column[half:] for column in columns], data)


def _send_created(wire: Wire, created: list[Head]) -> None:
    rows = []
    for head in created:
        assert head.created is not None
        kept = (*head.mutable(), head.closed_at, head.blocked_for, *_moved(head), *_derived(head))
        rows.append((*head.created, *kept, head.detail or b"", head.status_text or "", head.attributes))
        head.clean()
        head.known = known_of(head)
    wire.queue(sql.INSERT_RUNS, *zip(*rows, strict=True))


def _send_changed(wire: Wire, drawing: Drawing) -> None:
    moved = drawing.moved | drawing.bumped
    rows = []
    for head in drawing.changed:
        kept = (*head.mutable(), head.closed_at, head.blocked_for, *_moved(head), *_derived(head))
        rows.append((head.run, *kept, head.detail, head.status_text, head.attributes))
        head.clean()
        head.known = known_of(head)
        moved.pop(head.run_id, None)
    for head in drawing.created:
        moved.pop(head.run_id, None)
    if rows:
        wire.queue(sql.CHANGE_RUNS, *zip(*rows, strict=True))
    if moved:
        steps = [
            (head.run, head.last_seq, head.bumps, head.inbox_size, head.timer_at, int(head.has_tasks))
            for head in moved.values()
        ]
        wire.queue(sql.MOVE_RUNS, *zip(*steps, strict=True))
        for head in moved.values():
            head.known = known_of(head)


def known_of(head: Head) -> tuple[int, ...]:
    """What ``statements.VERIFY_HEADS`` compares."""
    return head.epoch, head.last_seq, head.bumps, head.inbox_size


def _moved(head: Head) -> tuple[int, int | None, int, int]:
    return head.last_seq, head.timer_at, head.inbox_size, int(head.has_tasks)


def _derived(head: Head) -> tuple[int | None, int | None]:
    return derived(head.status, head.owner, head.condition, head.wake_at)


def derived(status: int, owner: int | None, condition: int, wake_at: int | None) -> tuple[int | None, int | None]:
    """What the indexes want to know: when the run is offered, and whether its condition is out of the ordinary."""
    is_offered = status == RUNNING and owner is None and condition not in UNOFFERED
    return wake_at if is_offered else None, condition if condition > WAITING else None


def _send_state(wire: Wire, drawing: Drawing) -> None:
    kept = [(*key, data) for key, data in drawing.state.items() if data is not None]
    gone = [key for key, data in drawing.state.items() if data is None]
    if kept:
        _send_in_parts(wire, sql.UPSERT_STATE, list(zip(*kept, strict=True)), data=3)
    if gone:
        wire.queue(sql.DELETE_STATE, *zip(*gone, strict=True))


def _send_timers(wire: Wire, drawing: Drawing) -> None:
    if drawing.cleared_timers:
        wire.queue(sql.DELETE_TIMERS, list(drawing.cleared_timers))
    times = {(run, timer.key): timer.fire_at for run, timers in drawing.timers.items() for timer in timers}
    if times:
        rows = [(run, key, fire_at) for (run, key), fire_at in times.items()]
        wire.queue(sql.INSERT_TIMERS, *zip(*rows, strict=True))
