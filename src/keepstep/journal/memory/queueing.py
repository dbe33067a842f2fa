"""Queues with limits, and the runs that wait on them. Which of what waits goes next is ``deciding.turn``'s rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from keepstep.journal.deciding.turn import Progress, Turn
from keepstep.journal.errors import Fenced
from keepstep.journal.queue import (
    ANY_TYPE,
    PLACES_COUNTED_MAX,
    TICKET,
    Claimed,
    Declaration,
    Place,
    Queue,
    QueueChange,
    QueueState,
    Ticket,
    place_of,
)
from keepstep.journal.run import Condition, Run
from keepstep.journal.task import Task

from .disk import MemoryDisk, QueueRow, RunRow, TaskRow, Transaction
from .task import claim, claim_plain, is_visible

RUN_ITSELF = "run"
"""Who holds the ticket of a run that was admitted. No lease has this id."""


class MemoryShelf:
    """What is on one queue. See ``deciding.turn``."""

    def __init__(self, tx: Transaction, queue: str, lease_id: str, kinds: Sequence[str], types: Sequence[str]) -> None:
        self._tx = tx
        self._lease_id = lease_id
        self._kinds = kinds
        self._types = types
        self._tasks = [task for task in tx.disk.tasks.values() if task.task.queue == queue]
        self.has_waiting = any(task.owner is None for task in self._tasks)

    def held(self) -> int:
        return sum(task.owner is not None for task in self._tasks)

    def held_by_worker(self) -> int:
        return sum(self._worker_of(task) == self._lease_id for task in self._tasks)

    def _worker_of(self, task: TaskRow) -> str | None:
        return self._tx.disk.runs[task.run_id].run.owner if task.owner == RUN_ITSELF else task.owner

    def held_by_key(self) -> dict[str, int]:
        held: dict[str, int] = {}
        for task in self._tasks:
            if task.owner is not None:
                held[task.task.fairness_key] = held.get(task.task.fairness_key, 0) + 1
        return held

    def priorities(self, limit: int) -> list[int]:
        return sorted({task.task.priority for task in self._waiting()}, reverse=True)[:limit]

    def keys(self, priority: int, begin: str, limit: int) -> list[str]:
        keys = {task.task.fairness_key for task in self._waiting() if task.task.priority == priority}
        return sorted(key for key in keys if key >= begin)[:limit]

    def first_of(self, priority: int, keys: Sequence[str], limit: int) -> dict[str, list[int]]:
        offered = [task for task in self._waiting() if task.task.priority == priority and self._is_offered(task)]
        return {key: [task.task_id for task in offered if task.task.fairness_key == key][:limit] for key in keys}

    def next_visible(self) -> int | None:
        times = (task.task.visible_at for task in self._waiting())
        return min((time for time in times if time > self._tx.now), default=None)

    def _waiting(self) -> Iterator[TaskRow]:
        return (task for task in self._tasks if task.owner is None)

    def _is_offered(self, task: TaskRow) -> bool:
        kind, key = task.task.kind, task.task.key
        is_asked_for = kind in self._kinds or (kind == TICKET and (key in self._types or self._is_type_asked_for(task)))
        return is_asked_for and is_visible(self._tx, task)

    def _is_type_asked_for(self, task: TaskRow) -> bool:
        return ANY_TYPE in self._types and task.task.key == self._tx.disk.runs[task.run_id].run.type


def claim_work(
    tx: Transaction, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int, types: Sequence[str]
) -> Claimed:
    """Own tasks, and runs that are admitted now, up to ``limit`` together."""
    if lease_id not in tx.disk.leases:
        raise Fenced(f"lease {lease_id} is over; open another")
    names = list(dict.fromkeys(queues))
    plain = [name for name in names if name not in tx.disk.queues]
    sources = [*sorted(set(names) - set(plain)), *([None] if plain else [])]
    first = tx.now // 1000 % max(len(sources), 1)
    tasks: list[Task] = []
    runs: list[Run] = []
    times: list[int] = []
    for name in sources[first:] + sources[:first]:
        room = limit - len(tasks) - len(runs)
        if room <= 0:
            break
        if name is None:
            tasks += claim_plain(tx, lease_id, plain, kinds, room)
            continue
        shelf = MemoryShelf(tx, name, lease_id, kinds, types)
        got = _claim_from(tx, tx.disk.queues[name], shelf, lease_id, room)
        tasks += got.tasks
        runs += got.runs
        if got.again_at is not None:
            times.append(got.again_at)
    return Claimed(tasks, runs, min(times, default=None))


def _claim_from(tx: Transaction, row: QueueRow, shelf: MemoryShelf, lease_id: str, limit: int) -> Claimed:
    if row.queue.is_paused or not (shelf.has_waiting or row.progress.handed or row.progress.by_key):
        return Claimed()
    turn = Turn(row.queue.limits, row.progress, tx.now)
    handed = turn.hand_out(shelf, limit) if shelf.has_waiting else ()
    chosen = [tx.disk.tasks[task_id] for task_id in handed]
    runs = [_admit(tx, task, lease_id) for task in chosen if task.task.kind == TICKET]
    tasks = [claim(tx, task, lease_id) for task in chosen if task.task.kind != TICKET]
    turn.note([task.task_id for task in chosen])
    if len(chosen) == limit:
        return Claimed(tasks, runs)
    times = [time for time in (shelf.next_visible(), turn.again_at()) if time is not None]
    return Claimed(tasks, runs, min(times, default=None))


def _admit(tx: Transaction, task: TaskRow, lease_id: str) -> Run:
    """The run has a slot from now on, and the lease owns it."""
    task.epoch += 1
    task.owner = RUN_ITSELF
    row = tx.disk.runs[task.run_id]
    row.change(owner=lease_id, epoch=row.run.epoch + 1, wake_at=None, condition=Condition.NONE)
    row.claimed_seq = row.run.last_seq
    return row.run


# tickets


def ticket_of(tx: Transaction, queue: str, run_type: str, given: Ticket | None) -> Ticket | None:
    """How a run that is started waits; None if it is offered at once."""
    ticket = given or Ticket(queue=queue, key=run_type)
    return ticket if ticket.is_asked_for or _holds_runs_back(tx, ticket.queue) else None


def _holds_runs_back(tx: Transaction, queue: str) -> bool:
    row = tx.disk.queues.get(queue)
    return row is not None and row.queue.holds_runs_back()


def put_ticket(tx: Transaction, row: RunRow, ticket: Ticket, *, is_held: bool = False) -> None:
    """Have a run wait for its admission; or, where it has one already, have it hold its slot."""
    owner = RUN_ITSELF if is_held else None
    task = TaskRow(tx.disk.next_number("task"), row.run.run_id, ticket.as_task(), 0, owner)
    row.ticket = ticket
    row.tasks[TICKET, ticket.key] = task
    tx.disk.tasks[task.task_id] = task
    if is_held:
        return
    if ticket.is_asked_for:
        tx.disk.queues.setdefault(ticket.queue, QueueRow(Queue(name=ticket.queue), Progress()))
    row.change(condition=Condition.QUEUED, owner=None, wake_at=None)
    tx.news.tasks(row.run.run_id)


def put_ticket_again(tx: Transaction, row: RunRow) -> None:
    """A run that was closed is open again: it waits as it waited before it was admitted, if it did."""
    ticket = ticket_of(tx, row.run.queue, row.run.type, row.ticket)
    if ticket is not None:
        put_ticket(tx, row, msgspec.structs.replace(ticket, not_before=0))


def restore_tickets(tx: Transaction) -> None:
    """Put back what was lost: a run that waits says so itself, and any other one that had a ticket was admitted."""
    for row in tx.disk.open_runs.values():
        if row.ticket is not None and not any(kind == TICKET for kind, _ in row.tasks):
            row.change(version=row.run.version + 1)
            put_ticket(tx, row, row.ticket, is_held=row.run.condition is not Condition.QUEUED)


def holds_slot(row: RunRow) -> bool:
    """Whether the run was admitted under limits."""
    return any(task.task.kind == TICKET and task.owner == RUN_ITSELF for task in row.tasks.values())


def _give_tickets(tx: Transaction, queue: str) -> None:
    """The queue has limits from now on: who has begun holds a slot, who has not waits for one."""
    for row in tx.disk.open_runs.values():
        run = row.run
        if run.queue == queue and not any(kind == TICKET for kind, _ in row.tasks):
            has_begun = run.owner is not None or run.epoch > 0 or run.condition is not Condition.NONE
            row.change(version=run.version + 1)
            put_ticket(tx, row, Ticket(queue=queue, key=run.type), is_held=has_begun)


# what is said about queues


def declare_queues(tx: Transaction, declarations: Sequence[Declaration]) -> list[Queue]:
    """Keep what code says. Those that other code has declared otherwise, as they were."""
    others = []
    for each in declarations:
        there = tx.disk.queues.get(each.name)
        queue = Queue(name=each.name) if there is None else there.queue
        if queue.declared_at and queue.declared == each.limits:
            continue
        if queue.declared_at:
            others.append(queue)
        _save(tx, msgspec.structs.replace(queue, declared=each.limits, declared_at=tx.now))
    return others


def change_queue(tx: Transaction, change: QueueChange) -> Queue:
    """Keep what an operator says, for as long as it is not withdrawn."""
    there = tx.disk.queues.get(change.name)
    queue = (Queue(name=change.name) if there is None else there.queue).changed(change)
    _save(tx, queue)
    return queue


def _save(tx: Transaction, queue: Queue) -> None:
    there = tx.disk.queues.get(queue.name)
    tx.disk.queues[queue.name] = QueueRow(queue, Progress() if there is None else there.progress)
    if queue.holds_runs_back():
        _give_tickets(tx, queue.name)
    tx.news.tasks("")


def list_queues(disk: MemoryDisk) -> list[QueueState]:
    states = []
    for name, row in sorted(disk.queues.items()):
        owners = [task.owner for task in disk.tasks.values() if task.task.queue == name]
        held = sum(owner is not None for owner in owners)
        states.append(QueueState(queue=row.queue, waiting=len(owners) - held, held=held))
    return states


def find_place(disk: MemoryDisk, run_id: str, now: int) -> Place | None:
    row = disk.runs.get(run_id)
    tickets = [] if row is None else [task for task in row.tasks.values() if task.task.kind == TICKET]
    if not tickets or tickets[0].owner is not None:
        return None
    mine = tickets[0]
    others = [task for task in disk.tasks.values() if task.task.queue == mine.task.queue]
    before = [
        task
        for task in others
        if task.owner is None
        and task.task.visible_at <= now
        and (-task.task.priority, task.task_id) < (-mine.task.priority, mine.task_id)
    ]
    holders = [t for t in others if t.owner is not None and t.task.fairness_key == mine.task.fairness_key]
    kept = disk.queues.get(mine.task.queue)
    task = mine.task
    waits = Ticket(
        queue=task.queue, key="", priority=task.priority, fairness_key=task.fairness_key, not_before=task.visible_at
    )
    return place_of(
        Queue(name=mine.task.queue) if kept is None else kept.queue,
        waits,
        min(len(before), PLACES_COUNTED_MAX),
        len(holders),
        disk.runs[holders[0].run_id].run.workflow_id if holders else None,
    )
