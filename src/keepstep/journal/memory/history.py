"""Events: appended to a run's history and to the log that subscribers read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keepstep.journal.closed import ClosedRun
from keepstep.journal.errors import PositionGone
from keepstep.journal.event import Event, LogEntry, NewEvent, Position
from keepstep.journal.run import Status

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


def read_log_ends(disk: MemoryDisk) -> list[Position]:
    """The position of the last event."""
    return [Position(SHARD, disk.log_last)]


def purge(tx: Transaction, namespace: str, closed_before: int, limit: int) -> int:
    """Remove closed runs, longest closed first, but none with events that a registered subscriber has not read."""
    disk = tx.disk
    ended = [
        row
        for row in disk.runs.values()
        if row.run.namespace == namespace
        and not row.is_open()
        and row.run.closed_at < closed_before
        and _is_read(disk, row)
    ]
    ended.sort(key=lambda row: row.run.closed_at)
    for row in ended[:limit]:
        _remove(disk, row)
    return len(ended[:limit])


def list_closed(disk: MemoryDisk, namespace: str, status: Status, closed_before: int, limit: int) -> list[ClosedRun]:
    """The longest closed runs that may be removed."""
    found = [
        row
        for row in disk.runs.values()
        if row.run.namespace == namespace
        and row.run.status is status
        and not row.is_open()
        and row.run.closed_at < closed_before
        and _is_read(disk, row)
    ]
    found.sort(key=lambda row: row.run.closed_at)
    runs = [row.run for row in found[:limit]]
    return [ClosedRun(run.run_id, run.version, run.closed_at, run.last_seq) for run in runs]


def remove_runs(tx: Transaction, seen: Sequence[ClosedRun]) -> list[str]:
    """Remove those that are closed, as they were seen, and read by every registered subscriber."""
    removed: list[str] = []
    for each in seen:
        row = tx.disk.runs.get(each.run_id)
        if row is not None and not row.is_open() and row.run.version == each.version and _is_read(tx.disk, row):
            _remove(tx.disk, row)
            removed.append(each.run_id)
    return removed


def _is_read(disk: MemoryDisk, row: RunRow) -> bool:
    read = min((cursor.n for cursor in disk.cursors.values() if cursor.shard == SHARD), default=disk.log_last)
    return not row.log_numbers or row.log_numbers[-1] <= read


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
