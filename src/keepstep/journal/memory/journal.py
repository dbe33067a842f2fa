"""MemoryJournal: one simulated process's handle on a ``MemoryDisk``.

It keeps the port's promises as a store on a real disk does: writes of one loop iteration travel in one flush, whoever
waits is resumed in a later iteration, and the loop's timers renew leases. It knows no thread, no wall clock and no
randomness, so that under a loop with virtual time the same program makes the same history. ``crash`` is the death of
the simulated process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from keepstep.journal import deed
from keepstep.journal.ask import Ask
from keepstep.journal.attribute import Attribute
from keepstep.journal.backlog import Backlog
from keepstep.journal.clock import Clock
from keepstep.journal.closed import ClosedRun
from keepstep.journal.commit import Commit, Committed, NewRun, Started
from keepstep.journal.definition import Definition
from keepstep.journal.errors import StoreUnavailable, Unsupported
from keepstep.journal.event import Event, LogEntry, Position
from keepstep.journal.field import Field
from keepstep.journal.flow import Stretch, Window
from keepstep.journal.hint import Hint, HintKind, Listener
from keepstep.journal.kept import Kept, KeptIn, Spot, Swap
from keepstep.journal.lease import Lease, LeaseState, ProcessIdentity
from keepstep.journal.limits import PAYLOAD_BYTES_MAX
from keepstep.journal.message import Message, NewMessage, Sent
from keepstep.journal.outbox import Outbox
from keepstep.journal.port import AuditLine, Loaded
from keepstep.journal.promise import Promise
from keepstep.journal.queue import Claimed, Declaration, Queue, QueueChange, QueueState
from keepstep.journal.queue import Place as PlaceInQueue
from keepstep.journal.run import Condition, Run, Status
from keepstep.journal.search import Group, Page, Place, Predicate, Search
from keepstep.journal.size import check_commit, check_imported, check_message, check_new_run
from keepstep.journal.task import Task, TaskToken

from . import (
    attributes,
    backlog,
    change,
    flow,
    history,
    importing,
    inbox,
    kept,
    listing,
    ownership,
    question,
    queueing,
    start,
    task,
)
from .disk import AskRow, MemoryDisk, Transaction
from .flush import Flusher
from .news import News
from .renewal import Renewals, Watch

T = TypeVar("T")

JUMP_MICROSECONDS = 1_000_000
"""A wall clock that has moved by more than this against engine time since the last look has jumped."""


class MemoryJournal:
    """The whole port in memory; open as many on one disk as there are processes to simulate.

    ``process`` is who the simulated process is (made up if None), ``is_surely_dead`` judges others (the disk's list of
    crashed processes if None), ``flush_delay`` gives the seconds that each flush takes (none: the next iteration).
    """

    value_bytes_max = PAYLOAD_BYTES_MAX
    performs_deeds = True  # by refusing them: see ``change``

    def __init__(
        self,
        disk: MemoryDisk,
        *,
        clock: Clock,
        process: ProcessIdentity | None = None,
        flush_delay: Callable[[], float] | None = None,
        is_surely_dead: Callable[[ProcessIdentity], bool] | None = None,
    ) -> None:
        self.clock = clock
        self.disk = disk
        self._number = disk.next_number("handle")
        self.process = process or _made_up_process(self._number)
        self._listeners: list[Listener] = []
        self._waiting_asks: dict[str, asyncio.Future[bytes]] = {}
        self._flusher = Flusher(self._begin, self._spread, flush_delay)
        self._renewals = Renewals(disk, self._look_at_clock)
        self._watch = Watch(clock, is_surely_dead or disk.is_surely_dead)
        self._closed = False
        self._crashed = False
        if disk.anchor is None:
            disk.anchor = clock.anchor()
        clock.adopt(disk.anchor)
        self._jump = clock.jump()
        disk.handles[self._number] = self

    async def close(self) -> None:
        if self._closed or self._crashed:
            return
        await self._flusher.drain()
        for lease_id in self._renewals.lease_ids():
            await self.close_lease(lease_id)
        self._closed = True
        await self._flusher.drain()
        self.disk.handles.pop(self._number, None)
        self._listeners.clear()

    def crash(self, *, noticed: bool = True) -> None:
        """Die: nothing more is written, pending operations never return, renewals and hints stop.

        ``noticed=False``: others cannot tell that the process is dead (another machine); only its silence shows it.
        """
        self._crashed = True
        self._flusher.crash()
        self._renewals.end_all()
        self._listeners.clear()
        self._waiting_asks.clear()
        self.disk.handles.pop(self._number, None)
        if noticed:
            self.disk.dead.append(self.process)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    # runs

    async def start(self, new: NewRun) -> Started:
        check_new_run(new)
        return await self._write(lambda tx: start.start(tx, new))

    def transaction(self, *, is_async: bool) -> AbstractAsyncContextManager[deed.Transaction]:
        raise Unsupported("a store in memory has no transactions of yours; use SQLite or PostgreSQL")

    def within(self, connection: Any) -> Outbox:
        raise Unsupported("a store in memory has no transactions of yours; use SQLite or PostgreSQL")

    def submit(self, commit: Commit) -> Promise:
        self._check_usable()
        check_commit(commit)
        promise = Promise(loop=asyncio.get_running_loop())
        if not self._crashed:
            self._flusher.submit(lambda tx: change.commit_run(tx, commit), promise)
        return promise

    async def commit(self, commit: Commit) -> Committed:
        return await self.submit(commit)

    async def was_committed(self, commit_id: str) -> bool:
        await self._turn()
        return commit_id in self.disk.commits

    async def send(self, message: NewMessage) -> Sent:
        check_message(message)
        return await self._write(lambda tx: inbox.send(tx, message))

    # leases

    async def open_lease(self, lease: Lease) -> None:
        await self._write(lambda tx: ownership.open_lease(tx, lease, self.process))
        self._renewals.begin(lease.lease_id, lease.lease_seconds)

    async def close_lease(self, lease_id: str) -> None:
        self._renewals.end(lease_id)
        await self._write(lambda tx: ownership.close_lease(tx, lease_id))

    async def reap(self) -> list[str]:
        return await self._write(self._reap)

    def _reap(self, tx: Transaction) -> list[str]:
        others = [row for lease_id, row in self.disk.leases.items() if not self._renewals.holds(lease_id)]
        over = [row.lease.lease_id for row in others if self._watch.is_over(row)]
        for lease_id in over:
            ownership.end_lease(tx, lease_id)
        self._watch.forget_all_but(self.disk.leases)
        return over

    async def claim_runs(self, lease_id: str, limit: int, types: Sequence[str] | None = None) -> list[Run]:
        return await self._write(lambda tx: ownership.claim_runs(tx, lease_id, limit, types))

    async def list_owned_runs(self, lease_id: str) -> list[Run]:
        await self._turn()
        return ownership.list_owned_runs(self.disk, lease_id)

    async def probe(self, lease_id: str, run_id: str | None) -> None:
        await self._write(lambda tx: ownership.probe(tx, lease_id, run_id))

    # tasks

    async def claim_tasks(self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[Task]:
        return (await self.claim_work(lease_id, queues, kinds, limit)).tasks

    async def claim_work(
        self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int, types: Sequence[str] = ()
    ) -> Claimed:
        return await self._write(lambda tx: queueing.claim_work(tx, lease_id, queues, kinds, limit, types))

    async def list_held_tasks(self, lease_id: str) -> list[Task]:
        await self._turn()
        return task.list_held_tasks(self.disk, lease_id)

    async def release_task(self, token: TaskToken, *, visible_at: int, attempt: int, data: bytes | None = None) -> None:
        await self._write(lambda tx: task.release_task(tx, token, visible_at, attempt, data))

    # queues

    async def declare_queues(self, declarations: Sequence[Declaration]) -> list[Queue]:
        return await self._write(lambda tx: queueing.declare_queues(tx, declarations))

    async def change_queue(self, change: QueueChange) -> Queue:
        return await self._write(lambda tx: queueing.change_queue(tx, change))

    async def list_queues(self) -> list[QueueState]:
        await self._turn()
        return queueing.list_queues(self.disk)

    async def list_backlogs(self) -> list[Backlog]:
        await self._turn()
        return backlog.list_backlogs(self.disk, self.clock.now())

    async def find_place(self, run_id: str) -> PlaceInQueue | None:
        await self._turn()
        return queueing.find_place(self.disk, run_id, self.clock.now())

    # asks

    async def ask(self, run_id: str, kind: str, name: str, data: bytes, timeout_seconds: float) -> bytes:
        deadline = self.clock.now() + round(timeout_seconds * 1_000_000)
        row = AskRow(run_id, kind, name, data, deadline, self._number)
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        ask_id = await self._write(lambda tx: self._put_ask(tx, row, answered))
        try:
            return await asyncio.wait_for(answered, timeout_seconds)
        finally:
            self._waiting_asks.pop(ask_id, None)
            self.disk.asks.pop(ask_id, None)

    def _put_ask(self, tx: Transaction, row: AskRow, answered: asyncio.Future[bytes]) -> str:
        ask_id = question.put_ask(tx, row)
        self._waiting_asks[ask_id] = answered
        return ask_id

    async def take_asks(self, lease_id: str, limit: int) -> list[Ask]:
        return await self._write(lambda tx: question.take_asks(tx, lease_id, limit))

    async def answer(self, ask_id: str, data: bytes) -> None:
        asked = await self._write(lambda tx: question.take_answered(tx, ask_id))
        asker = None if asked is None else self.disk.handles.get(asked.asker)
        if asker is not None:
            asker.receive_answer(ask_id, data)

    def receive_answer(self, ask_id: str, data: bytes) -> None:
        """Wake whoever of this process waits for the answer."""
        answered = self._waiting_asks.pop(ask_id, None)
        if answered is not None and not answered.done():
            answered.set_result(data)

    # reading

    async def read_run(self, run_id: str) -> Run | None:
        await self._turn()
        row = self.disk.runs.get(run_id)
        return None if row is None else row.run

    async def find_run(self, namespace: str, workflow_id: str) -> Run | None:
        await self._turn()
        row = self.disk.find(namespace, workflow_id)
        return None if row is None else row.run

    async def list_runs(
        self,
        namespace: str,
        *,
        statuses: Sequence[Status] = (),
        conditions: Sequence[Condition] = (),
        types: Sequence[str] = (),
        before: tuple[int, str] | None = None,
        limit: int = 100,
    ) -> list[Run]:
        await self._turn()
        fitting = listing.fitting_runs(self.disk, namespace, statuses, conditions, types)
        return listing.page(fitting, before, limit)

    async def count_runs(
        self,
        namespace: str,
        *,
        statuses: Sequence[Status] = (),
        conditions: Sequence[Condition] = (),
        types: Sequence[str] = (),
    ) -> int:
        await self._turn()
        return len(listing.fitting_runs(self.disk, namespace, statuses, conditions, types))

    async def search_runs(
        self, namespace: str, search: Search, *, after: Place | None = None, limit: int = 100
    ) -> Page:
        await self._turn()
        return attributes.page(self.disk, namespace, search, after, limit)

    async def count_found(self, namespace: str, where: Predicate) -> int:
        await self._turn()
        return len(attributes.found(self.disk, namespace, where))

    async def count_groups(self, namespace: str, where: Predicate, field: Field, groups_max: int) -> list[Group]:
        await self._turn()
        return attributes.groups(self.disk, namespace, where, field, groups_max)

    async def list_attributes(self, namespace: str) -> list[Attribute]:
        await self._turn()
        return attributes.listed(self.disk, namespace)

    async def register_attributes(self, named: Sequence[Attribute]) -> None:
        await self._write(lambda tx: attributes.register(tx, named))

    async def load(self, run_id: str) -> Loaded:
        await self._turn()
        row = self.disk.get(run_id)
        return Loaded(row.run, list(row.events), dict(row.state), list(row.inbox.values()))

    async def read_events(self, run_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        await self._turn()
        row = self.disk.runs.get(run_id)
        return [] if row is None else row.events[max(after_seq, 0) :][: max(limit, 0)]

    async def read_state(self, run_id: str, kind: str | None = None) -> dict[tuple[str, str], bytes]:
        await self._turn()
        row = self.disk.runs.get(run_id)
        state = {} if row is None else row.state
        return {key: data for key, data in state.items() if kind in (None, key[0])}

    async def list_state(
        self, namespace: str, kind: str, *, after: tuple[str, str] | None = None, limit: int = 100
    ) -> list[tuple[str, str, bytes]]:
        await self._turn()
        return listing.state_of_kind(self.disk, namespace, kind, after)[: max(limit, 0)]

    async def read_messages(self, run_id: str) -> list[Message]:
        await self._turn()
        row = self.disk.runs.get(run_id)
        return [] if row is None else list(row.inbox.values())

    async def read_messages_of(self, run_ids: Sequence[str]) -> list[Message]:
        await self._turn()
        rows = (self.disk.runs.get(run_id) for run_id in set(run_ids))
        return sorted((each for row in rows if row is not None for each in row.inbox.values()), key=lambda each: each.n)

    async def read_inbox(self, lease_id: str, after: int, limit: int = 1000) -> list[Message]:
        await self._turn()
        return listing.owned_messages(self.disk, lease_id, after)[: max(limit, 0)]

    async def next_wake(self, lease_id: str, types: Sequence[str] | None = None) -> int | None:
        await self._turn()
        return ownership.next_wake(self.disk, lease_id, types)

    async def read_log(self, after: Position, limit: int = 1000) -> list[LogEntry]:
        await self._turn()
        return history.read_log(self.disk, after, limit)

    async def list_namespaces(self, after: str = "", limit: int = 1000) -> list[str]:
        await self._turn()
        return sorted({row.run.namespace for row in self.disk.runs.values() if row.run.namespace > after})[:limit]

    async def read_log_ends(self) -> list[Position]:
        await self._turn()
        return history.read_log_ends(self.disk)

    async def read_audit(self, run_id: str) -> list[AuditLine]:
        await self._turn()
        row = self.disk.runs.get(run_id)
        return [] if row is None else list(row.audit)

    async def read_flow(self, namespace: str, window: Window) -> list[Stretch]:
        window.check()
        await self._turn()
        return flow.read_flow(self.disk, namespace, window)

    async def list_leases(self) -> list[LeaseState]:
        await self._turn()
        return ownership.list_leases(self.disk)

    # subscribers, definitions, housekeeping

    async def save_cursor(self, subscriber: str, position: Position) -> None:
        await self._write(lambda tx: tx.disk.cursors.update({(subscriber, position.shard): position}))

    async def read_cursor(self, subscriber: str, shard: int) -> Position | None:
        await self._turn()
        return self.disk.cursors.get((subscriber, shard))

    async def publish(self, definitions: Sequence[Definition]) -> None:
        named = {(each.namespace, each.language, each.kind, each.name): each for each in definitions}
        await self._write(lambda tx: tx.disk.definitions.update(named))

    async def list_definitions(self, namespace: str) -> list[Definition]:
        await self._turn()
        return [each for each in self.disk.definitions.values() if each.namespace == namespace]

    async def read_kept(self, where: KeptIn, after: Spot | None = None) -> list[Kept]:
        await self._turn()
        return kept.read_kept(self.disk, where, after)

    async def swap_kept(self, where: KeptIn, swaps: Sequence[Swap]) -> None:
        await self._write(lambda tx: kept.swap_kept(tx, where, swaps))

    async def rebuild(self) -> int:
        return await self._write(ownership.rebuild)

    async def purge(self, namespace: str, closed_before: int, limit: int = 1000) -> int:
        return await self._write(lambda tx: history.purge(tx, namespace, closed_before, limit))

    async def list_closed(
        self, namespace: str, status: Status, closed_before: int, limit: int = 100
    ) -> list[ClosedRun]:
        await self._turn()
        return history.list_closed(self.disk, namespace, status, closed_before, limit)

    async def remove_runs(self, seen: Sequence[ClosedRun]) -> list[str]:
        return await self._write(lambda tx: history.remove_runs(tx, seen))

    async def import_run(self, loaded: Loaded, audit: Sequence[AuditLine] = ()) -> None:
        check_imported(loaded, audit)
        await self._write(lambda tx: importing.import_run(tx, loaded, audit))

    # turns, flushes and their news

    def _write(self, operation: Callable[[Transaction], T]) -> asyncio.Future[T]:
        """To be awaited: what the operation returns. A dead process hears nothing."""
        self._check_usable()
        if self._crashed:
            return asyncio.get_running_loop().create_future()
        return self._flusher.submit(operation)

    async def _turn(self) -> None:
        """Let the loop go on once before a read, as a store on a disk would."""
        self._check_usable()
        await NEXT_ITERATION
        if self._crashed:
            await asyncio.get_running_loop().create_future()

    def _check_usable(self) -> None:
        if self._closed:
            raise StoreUnavailable("this journal is closed; open another")

    def _begin(self) -> Transaction:
        return Transaction(self.disk, self.clock.now(), News())

    def _spread(self, tx: Transaction) -> None:
        if not tx.news.is_told():
            return
        loop = asyncio.get_running_loop()
        own, foreign = tx.news.hints(own=True), tx.news.hints(own=False)
        for handle in self.disk.handles.values():
            loop.call_soon(handle.receive_news, own if handle is self else foreign, tx.news.lost_leases())

    def receive_news(self, hints: list[Hint], lost_leases: list[str]) -> None:
        """Hand hints to the listeners of this process; a lease of its own that was taken away is dropped."""
        own_lost = [lease_id for lease_id in lost_leases if self._renewals.holds(lease_id)]
        for lease_id in own_lost:
            self._renewals.end(lease_id)
        lost = [Hint(HintKind.LEASE_LOST, lease_id=lease_id) for lease_id in own_lost]
        for hint in [*lost, *hints]:
            for listener in list(self._listeners):
                listener(hint)

    def _look_at_clock(self) -> None:
        """Tell of a wall clock that has jumped. Engine time did not follow it."""
        jump = self.clock.jump()
        moved, self._jump = jump - self._jump, jump
        if abs(moved) > JUMP_MICROSECONDS:
            self.receive_news([Hint(HintKind.CLOCK_JUMPED, microseconds=moved)], [])


class _NextIteration:
    """What ``asyncio.sleep(0)`` would be, without a coroutine."""

    def __await__(self) -> Generator[None]:
        yield


NEXT_ITERATION = _NextIteration()


def _made_up_process(number: int) -> ProcessIdentity:
    return ProcessIdentity(host="memory", boot_id="memory", pid_namespace="memory", pid=number, started=str(number))
