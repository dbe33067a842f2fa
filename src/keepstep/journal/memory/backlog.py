"""What waits on queues: see ``journal.backlog``."""

from __future__ import annotations

from keepstep.journal.backlog import COUNTED_MAX, QUEUES_MAX, Backlog
from keepstep.journal.run import Condition

from .disk import MemoryDisk, RunRow

_UNCOUNTED = (Condition.PAUSED, Condition.QUARANTINED, Condition.QUEUED, Condition.BLOCKED)


def list_backlogs(disk: MemoryDisk, now: int) -> list[Backlog]:
    tasks, due = dict[str, list[int]](), dict[str, list[int]]()
    for task_id, row in sorted(disk.tasks.items()):
        if row.owner is None:
            tasks.setdefault(row.task.queue, []).append(task_id)
    for run_row in disk.open_runs.values():
        if _is_due(run_row, now):
            due.setdefault(run_row.run.queue, []).append(run_row.due_since or 0)
    return [
        _backlog(disk, queue, tasks.get(queue, []), due.get(queue, [])) for queue in sorted({*tasks, *due})[:QUEUES_MAX]
    ]


def _is_due(row: RunRow, now: int) -> bool:
    run = row.run
    return row.is_asleep() and run.condition not in _UNCOUNTED and run.wake_at is not None and run.wake_at <= now


def _backlog(disk: MemoryDisk, queue: str, tasks: list[int], due: list[int]) -> Backlog:
    oldest = disk.tasks[tasks[0]] if tasks else None
    return Backlog(
        queue=queue,
        tasks=min(len(tasks), COUNTED_MAX),
        oldest_run_id="" if oldest is None else oldest.run_id,
        oldest_key="" if oldest is None else oldest.task.key,
        runs=min(len(due), COUNTED_MAX),
        due_since=min(due, default=None),
    )
