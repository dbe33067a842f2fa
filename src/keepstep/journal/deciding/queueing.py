"""Queueing: queues with limits, and the runs that wait on them. Which of what waits goes next is ``turn``'s rule.

A claim locks the rows of the queues that it serves, in the order of their names, and reads afterwards what holds slots
and what waits. Nothing but a claim takes slots, so that what it has counted holds until it has written. Slots are given
back without any lock, by removing or releasing the row that holds them: at worst a claim overlooks one, and its worker
is told that there may be work.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from keepstep.journal.errors import Fenced
from keepstep.journal.hint import HintKind
from keepstep.journal.queue import (
    HELD_BY_RUN,
    TICKET,
    Claimed,
    Declaration,
    Queue,
    QueueChange,
    Ticket,
)
from keepstep.journal.run import Run
from keepstep.journal.task import Task

from .codes import NONE, QUEUED, json_text
from .head import Head
from .picture import Picture, Wants
from .turn import Progress, Turn

_decode_ticket = msgspec.json.Decoder(Ticket).decode

Claim = tuple[str, Sequence[str], Sequence[str], int, Sequence[str]]
"""Lease id, queues, kinds of tasks, limit, and which tickets (by key)."""


# -- claims


def claim_work(picture: Picture, claim: Claim) -> Claimed:
    """Own tasks, and runs that are admitted now, up to ``limit`` together."""
    lease_id, queues, kinds, limit, _ = claim
    lease = picture.lease(lease_id)
    if lease is None:
        raise Fenced(f"lease {lease_id} is over; open another")
    names = list(dict.fromkeys(queues))
    if not names or limit <= 0:
        return Claimed()
    picture.write()
    kept = picture.tables.lock_queues(names)
    plain = [name for name in names if name not in kept]
    if not kept:
        return Claimed(picture.tables.claim_tasks(lease, plain, kinds, picture.now, limit))
    return _claim_by_turns(picture, lease, claim, plain, kept)


def _claim_by_turns(
    picture: Picture, lease: int, claim: Claim, plain: list[str], kept: dict[str, tuple[Queue, Progress]]
) -> Claimed:
    """Of several queues another one goes first each time, so that none takes all of a worker's room for good."""
    _, _, kinds, limit, types = claim
    sources: list[str | None] = [*kept, *([None] if plain else [])]
    first = picture.now // 1000 % len(sources)
    tasks: list[Task] = []
    runs: list[Run] = []
    times: list[int] = []
    for name in sources[first:] + sources[:first]:
        room = limit - len(tasks) - len(runs)
        if room <= 0:
            break
        if name is None:
            tasks += picture.tables.claim_tasks(lease, plain, kinds, picture.now, room)
            continue
        got = _claim_from(picture, lease, *kept[name], kinds, types, room)
        tasks += got.tasks
        runs += got.runs
        if got.again_at is not None:
            times.append(got.again_at)
    return Claimed(tasks, runs, min(times, default=None))


def _claim_from(
    picture: Picture,
    lease: int,
    queue: Queue,
    progress: Progress,
    kinds: Sequence[str],
    types: Sequence[str],
    limit: int,
) -> Claimed:
    if queue.is_paused:
        return Claimed()
    tables, now = picture.tables, picture.now
    before = msgspec.json.encode(progress)
    shelf = tables.shelf(queue.name, lease, kinds, types, now)
    turn = Turn(queue.limits, progress, now)
    chosen = turn.hand_out(shelf, limit)
    free = tables.free_tasks(chosen) if chosen else []
    runs = _admit(picture, lease, [(task, run_id) for task, kind, run_id in free if kind == TICKET])
    tasks = tables.own_tasks([task for task, kind, _ in free if kind != TICKET], lease)
    turn.note([task for task, _, _ in free])
    after = msgspec.json.encode(progress)
    if after != before:
        tables.save_progress(queue.name, after)
    return Claimed(tasks, runs, _again_at(picture, queue, turn) if len(chosen) < limit else None)


def _again_at(picture: Picture, queue: Queue, turn: Turn) -> int | None:
    times = [picture.tables.next_visible(queue.name, picture.now), turn.again_at()]
    return min((time for time in times if time is not None), default=None)


def _admit(picture: Picture, lease: int, tickets: Sequence[tuple[int, str]]) -> list[Run]:
    """These runs have slots from now on, and the lease owns them."""
    if not tickets:
        return []
    picture.tables.hold_tickets([task for task, _ in tickets])
    wants = Wants()
    wants.run_ids.update(run_id for _, run_id in tickets)
    picture.prefetch(wants)
    admitted = [picture.heads[run_id] for _, run_id in tickets]
    admitted = [head for head in admitted if head.is_open() and head.owner is None and head.condition == QUEUED]
    for head in admitted:
        head.condition = NONE
        head.owner, head.wake_at = lease, None
        head.epoch += 1
        head.claimed_seq = head.last_seq
        picture.change(head)
    picture.write()
    return picture.tables.fetch_runs([head.run_id for head in admitted])


# -- tickets


def put_ticket(picture: Picture, head: Head, ticket: Ticket, *, is_held: bool = False) -> None:
    """Have a run wait for its admission; or, where it has one already, have it hold its slot."""
    picture.tables.insert_task(head.run, ticket.as_task(), HELD_BY_RUN if is_held else None)
    head.has_tasks = True
    picture.drawing.moved[head.run_id] = head
    if is_held:
        return
    if ticket.is_asked_for:
        picture.tables.keep_queue(Queue(name=ticket.queue))
    head.condition, head.owner, head.wake_at = QUEUED, None, None
    picture.news.tell(HintKind.TASKS, head.run_id)


def ticket_before(picture: Picture, head: Head) -> Ticket:
    """How a run waited before it was admitted, or would have waited."""
    picture.write()
    queue, run_type, saved = picture.tables.saved_ticket(head.run)
    return Ticket(queue=queue, key=run_type) if saved is None else _decode_ticket(saved)


def put_ticket_again(picture: Picture, head: Head) -> None:
    """A run that was closed is open again: it waits as it waited before it was admitted, if it did."""
    ticket = ticket_before(picture, head)
    if ticket.is_asked_for or picture.tables.holds_runs_back(ticket.queue):
        put_ticket(picture, head, msgspec.structs.replace(ticket, not_before=0))
        picture.change(head)


def restore_tickets(picture: Picture) -> None:
    """Put back what was lost: a run that waits says so itself, and any other one that had a ticket was admitted."""
    wants = Wants()
    wants.run_ids.update(picture.tables.runs_that_lost_tickets())
    ordered = sorted(wants.run_ids)
    picture.prefetch(wants)
    for run_id in ordered:
        head = picture.heads[run_id]
        put_ticket(picture, head, ticket_before(picture, head), is_held=head.condition != QUEUED)
        picture.bump(head)
        picture.change(head)
    picture.write()


def _give_tickets(picture: Picture, queue: str) -> None:
    """The queue has limits from now on: who has begun holds a slot, who has not waits for one."""
    waiting = dict(picture.tables.runs_without_ticket(queue))
    wants = Wants()
    wants.run_ids.update(waiting)
    picture.prefetch(wants)
    for run_id, run_type in waiting.items():
        head = picture.heads[run_id]
        if head.is_open():
            ticket = Ticket(queue=queue, key=run_type)
            put_ticket(picture, head, ticket, is_held=not _has_not_begun(head))
            picture.tables.save_ticket(head.run, json_text(ticket))
            picture.bump(head)  # whoever trusts what it knows of the run is to look again: it has a task now
            picture.change(head)
    picture.write()
    picture.refresh()


def _has_not_begun(head: Head) -> bool:
    return head.owner is None and head.epoch == 0 and head.condition == NONE


# -- what is said about queues


def declare_queues(picture: Picture, saying: tuple[Sequence[Declaration], int]) -> list[Queue]:
    """Keep what code says. Those that other code has declared otherwise, as they were."""
    declarations, now = saying
    picture.write()
    picture.tables.lock_all_queues()
    there = picture.tables.lock_queues([each.name for each in declarations])
    others = []
    for each in declarations:
        queue = there[each.name][0] if each.name in there else Queue(name=each.name)
        if queue.declared_at and queue.declared == each.limits:
            continue
        if queue.declared_at:
            others.append(queue)
        _save(picture, msgspec.structs.replace(queue, declared=each.limits, declared_at=now))
    return others


def change_queue(picture: Picture, change: QueueChange) -> Queue:
    """Keep what an operator says, for as long as it is not withdrawn."""
    picture.write()
    picture.tables.lock_all_queues()
    kept = picture.tables.lock_queues([change.name])
    queue = (kept[change.name][0] if kept else Queue(name=change.name)).changed(change)
    _save(picture, queue)
    return queue


def _save(picture: Picture, queue: Queue) -> None:
    picture.tables.save_queue(queue)
    if queue.holds_runs_back():
        _give_tickets(picture, queue.name)
    picture.news.tell(HintKind.TASKS, "")
