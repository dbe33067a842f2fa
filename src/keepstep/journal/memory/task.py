"""Tasks: work on queues, claimed under tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from keepstep.journal.errors import Fenced
from keepstep.journal.task import NewTask, Task, TaskToken

from .disk import LeaseRow, MemoryDisk, RunRow, TaskRow, Transaction


def add_tasks(tx: Transaction, row: RunRow, tasks: Iterable[NewTask]) -> None:
    """Put tasks on their queues. One whose (run, kind, key) exists is left as it is."""
    for new in tasks:
        if (new.kind, new.key) in row.tasks:
            continue
        owner = new.lease_id if new.lease_id in tx.disk.leases and new.queue not in tx.disk.queues else None
        task = TaskRow(tx.disk.next_number("task"), row.run.run_id, new, 0 if owner is None else 1, owner)
        row.tasks[new.kind, new.key] = task
        tx.disk.tasks[task.task_id] = task
        if owner is None and new.visible_at <= tx.now:
            tx.news.tasks(row.run.run_id)


def held_task(tx: Transaction, token: TaskToken, run_id: str | None = None) -> TaskRow:
    """The task that is held under this token. Raises ``Fenced``."""
    task = tx.disk.tasks.get(token.task_id)
    stale = task is None or task.owner is None or task.epoch != token.epoch
    if task is None or stale or run_id not in (None, task.run_id):
        raise Fenced(
            f"task {token.task_id} is not held under epoch {token.epoch} any more: it was done, dropped or taken over"
        )
    return task


def claim_plain(tx: Transaction, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[Task]:
    """Own up to ``limit`` visible tasks of queues without limits: by priority, then by each fairness key's turn, then
    by age."""
    visible = [
        task
        for task in tx.disk.tasks.values()
        if task.owner is None and is_visible(tx, task) and task.task.kind in kinds
    ]
    if not visible:
        return []
    served = [*(name for row in tx.disk.leases.values() for name in row.lease.queues), *tx.disk.queues]
    waiting = [task for task in visible if _queue_of(task, queues, served) in queues]
    turns = _turns(tx, waiting, queues)
    waiting.sort(key=lambda task: (-task.task.priority, turns[task.task_id], task.task_id))
    return [claim(tx, task, lease_id) for task in waiting[: max(limit, 0)]]


def is_visible(tx: Transaction, task: TaskRow) -> bool:
    """Whether it may be handed out by its times."""
    return task.task.visible_at <= tx.now and (task.task.deadline is None or tx.now <= task.task.deadline)


def _queue_of(task: TaskRow, queues: Sequence[str], served: Sequence[str]) -> str:
    """Where a task is handed out: on its queue, or on its fallback queue while no open lease serves the first."""
    new = task.task
    if new.fallback_queue is None or new.queue in queues or new.queue in served:
        return new.queue
    return new.fallback_queue


def _turns(tx: Transaction, waiting: Sequence[TaskRow], queues: Sequence[str]) -> dict[int, float]:
    """Each task's turn within its fairness key: the tasks of that key in hand and before it, divided by its weight.

    Those in hand are counted that are on these queues; the same key elsewhere is another one.

    So a key with a thousand tasks does not keep one with a single task waiting, and a key of weight 2 gets two turns
    for each one of a key of weight 1.
    """
    ahead: dict[str, int] = {}
    for task in tx.disk.tasks.values():
        if task.owner is not None and (task.task.queue in queues or task.task.fallback_queue in queues):
            ahead[task.task.fairness_key] = ahead.get(task.task.fairness_key, 0) + 1
    turns: dict[int, float] = {}
    for task in sorted(waiting, key=lambda task: (-task.task.priority, task.task_id)):
        ahead[task.task.fairness_key] = count = ahead.get(task.task.fairness_key, 0) + 1
        turns[task.task_id] = count / max(task.task.fairness_weight, 1e-9)
    return turns


def claim(tx: Transaction, task: TaskRow, lease_id: str) -> Task:
    """Have a lease hold a task."""
    task.epoch += 1
    task.owner = lease_id
    return _in_hand(tx.disk, task)


def list_held_tasks(disk: MemoryDisk, lease_id: str) -> list[Task]:
    return [_in_hand(disk, task) for task in disk.tasks.values() if task.owner == lease_id]


def _in_hand(disk: MemoryDisk, task: TaskRow) -> Task:
    """A task as whoever holds it sees it."""
    run, new = disk.runs[task.run_id].run, task.task
    return Task(
        token=TaskToken(task.task_id, task.epoch),
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        namespace=run.namespace,
        kind=new.kind,
        key=new.key,
        queue=new.queue,
        data=new.data,
        priority=new.priority,
        visible_at=new.visible_at,
        deadline=new.deadline,
        attempt=new.attempt,
    )


def release_task(tx: Transaction, token: TaskToken, visible_at: int, attempt: int, data: bytes | None) -> None:
    """Put a held task back on its queue."""
    task = held_task(tx, token)
    task.owner = None
    kept = task.task.data if data is None else data
    task.task = msgspec.structs.replace(task.task, visible_at=visible_at, attempt=attempt, data=kept)
    if visible_at <= tx.now or task.task.queue in tx.disk.queues:
        tx.news.tasks(task.run_id)


def give_back_tasks(tx: Transaction, lease: LeaseRow) -> None:
    """Hand out again what a lease held; the tokens that it knows are stale from now on."""
    for task in tx.disk.tasks.values():
        if task.owner == lease.lease.lease_id:
            task.epoch += 1
            task.owner = None
            tx.news.tasks(task.run_id)
