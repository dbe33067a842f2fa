"""Events: appended to a run's history and to the log that subscribers read."""

from __future__ import annotations

from collections.abc import Iterable

from keepstep.journal.errors import PositionGone
from keepstep.journal.event import Event, LogEntry, NewEvent, Position

from .disk import SHARD, LogRow, MemoryDisk, RunRow, Transaction


def append_events(tx: Transaction, row: RunRow, events: Iterable[NewEvent]) -> None:
    """Append to a history, whose last seq grows by the number of events."""
    disk = tx.disk
    for new in events:
        event = Event(len(row.events) + 1, new.type, new.time, new.key, new.data)
        row.events.append(event)
        row.history_bytes += len(new.data)
        disk.log_last += 1
        disk.log[disk.log_last] = LogRow(row.run.run_id, event.seq)
        row.log_numbers.append(disk.log_last)


def read_log(disk: MemoryDisk, after: Position, limit: int) -> list[LogEntry]:
    """A page of the log."""
    if after.shard != SHARD:
        return []
    if after.n < disk.log_purged:
        raise PositionGone(
            f"position {after.n} lies behind what retention has kept; go on after {disk.log_purged} at the earliest"
        )
    entries: list[LogEntry] = []
    n = after.n
    while n < disk.log_last and len(entries) < limit:
        n += 1
        place = disk.log[n]
        event = disk.runs[place.run_id].events[place.seq - 1]
        entries.append(LogEntry(Position(SHARD, n), place.run_id, event))
    return entries


def purge(tx: Transaction, namespace: str, closed_before: int, limit: int) -> int:
    """Remove closed runs, longest closed first, but none with events that a registered subscriber has not read."""
    disk = tx.disk
    read = min((cursor.n for cursor in disk.cursors.values() if cursor.shard == SHARD), default=disk.log_last)
    ended = [
        row
        for row in disk.runs.values()
        if row.run.namespace == namespace
        and not row.is_open()
        and row.run.closed_at < closed_before
        and (not row.log_numbers or row.log_numbers[-1] <= read)
    ]
    ended.sort(key=lambda row: row.run.closed_at)
    for row in ended[:limit]:
        _remove(disk, row)
    return len(ended[:limit])


def _remove(disk: MemoryDisk, row: RunRow) -> None:
    run = row.run
    for n in row.log_numbers:
        del disk.log[n]
    disk.log_purged = max([disk.log_purged, *row.log_numbers[-1:]])
    del disk.runs[run.run_id]
    name = (run.namespace, run.workflow_id)
    disk.workflows[name].remove(run.run_id)
    if not disk.workflows[name]:
        del disk.workflows[name]
