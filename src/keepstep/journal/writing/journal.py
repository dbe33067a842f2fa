"""Journal: what callers hold. It checks sizes, hands writes to the writer and questions to the reader."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from keepstep.journal import size
from keepstep.journal.ask import Ask
from keepstep.journal.attribute import Attribute
from keepstep.journal.backlog import Backlog
from keepstep.journal.clock import Clock
from keepstep.journal.closed import ClosedRun
from keepstep.journal.commit import Commit, Committed, NewRun, Started
from keepstep.journal.deciding import asking, attribute, change, importing, ownership, queueing, retention, start, task
from keepstep.journal.deciding.operation import Operation, Verb, Want
from keepstep.journal.definition import Definition
from keepstep.journal.errors import Overloaded, Promoted, StoreUnavailable
from keepstep.journal.event import Event, LogEntry, Position
from keepstep.journal.field import Field
from keepstep.journal.flow import Stretch, Window
from keepstep.journal.hint import Hint, HintKind, Listener
from keepstep.journal.identifier import IdFactory
from keepstep.journal.kept import Kept, KeptIn, Spot, Swap
from keepstep.journal.lease import Lease, LeaseState, ProcessIdentity
from keepstep.journal.limits import PAYLOAD_BYTES_MAX
from keepstep.journal.message import Message, NewMessage, Sent
from keepstep.journal.port import AuditLine, Loaded
from keepstep.journal.promise import Promise
from keepstep.journal.queue import Claimed, Declaration, Queue, QueueChange, QueueState
from keepstep.journal.queue import Place as PlaceInQueue
from keepstep.journal.run import Condition, Run, Status
from keepstep.journal.search import Group, Page, Place, Predicate, Search
from keepstep.journal.task import Task, TaskToken

from . import writer as rounds
from .bus import Bus
from .drive import Drive
from .questions import Questions, Reader
from .writer import Writer

ANSWER_POLL_SECONDS = 0.25
"""How often an asker looks for an answer from another process whose hint got lost."""

FORGET_COMMIT_IDS_EVERY = 10_000
"""Commits with ids between two sweeps of those that are old."""


log = logging.getLogger("keepstep.journal")

P = ParamSpec("P")
T = TypeVar("T")
DB = TypeVar("DB")
"""What a question is asked of: a connection of the database's own kind."""


class GroupJournal(Generic[DB]):
    """A ``Journal`` whose writes travel in groups. It belongs to the event loop that opened it."""

    value_bytes_max = PAYLOAD_BYTES_MAX

    def __init__(
        self,
        clock: Clock,
        ids: IdFactory,
        reader: Reader[DB],
        questions: Questions[DB],
        peers: Bus,
        is_surely_dead: Callable[[ProcessIdentity], bool],
    ) -> None:
        self.clock = clock
        self._ids = ids
        self._reader = reader
        self._peers = peers
        self._questions = questions
        self._is_surely_dead = is_surely_dead
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._listeners: list[Listener] = []
        self._seen: dict[str, tuple[int, float]] = {}
        """Others' leases: their counter, and since when on our monotonic clock it has stood there."""
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._ids_committed = 0
        self._closed = False
        self._promoted: Promoted | None = None
        """Where it has gone: what could still be read here is not so any more."""
        self._writer: Writer
        self._drive: Drive
        peers.listen(self._loop, self._hear_peer)

    def attach(self, writer: Writer, drive: Drive) -> None:
        """Given a writer whose answers come back through ``resolve``, and what drives it, the journal is complete."""
        self._writer = writer
        self._drive = drive

    # -- in and out of the writer

    def resolve(self, group: Sequence[Operation], hints: Sequence[Hint], kinds: Sequence[HintKind]) -> None:
        """Take a flushed group back to the event loop. Called on the drive's thread."""
        if kinds:
            self._peers.tell(kinds)
        try:
            self._loop.call_soon_threadsafe(self._resolve, group, hints)
        except RuntimeError:  # the loop was closed, and the store was not: nobody is left who could be told
            self._writer.abandon()
            self._drive.end()

    def _resolve(self, group: Sequence[Operation], hints: Sequence[Hint]) -> None:
        for operation in group:
            future = operation.future
            if type(future) is Promise:
                future.settle(operation.outcome, operation.error)
            elif not future.done():
                if operation.error is None:
                    future.set_result(operation.outcome)
                else:
                    future.set_exception(operation.error)
        for hint in hints:
            self._hear(hint)

    def _hear(self, hint: Hint) -> None:
        if isinstance(hint.reason, Promoted):
            self._promoted = hint.reason
        for listener in tuple(self._listeners):
            listener(hint)

    def _hear_peer(self, hint: Hint) -> None:
        if hint.kind is not HintKind.LEASE_LOST:
            self._hear(hint)
        elif not self._closed:
            self._look_at_leases()

    def _look_at_leases(self) -> None:
        self._writer.renewals.hasten()
        self._drive.wake()

    def _put(self, verb: Verb, argument: Any, want: Want | None = None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue(Operation(verb, argument, want, future))
        return future

    def _queue(self, operation: Operation) -> None:
        if self._closed or os.getpid() != self._pid:
            self._refuse()
        self._drive.put(operation)

    def _refuse(self) -> None:
        if self._closed:
            raise StoreUnavailable("the journal is closed; open it again")
        raise StoreUnavailable(
            "this journal was opened before os.fork() and cannot be used in the child process; open it after forking"
        )

    async def _read(self, question: Callable[Concatenate[DB, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed or os.getpid() != self._pid:
            self._refuse()
        if self._promoted is not None:
            raise Promoted(str(self._promoted))
        return await self._reader.read(lambda db: question(db, *args, **kwargs))

    async def close(self) -> None:
        if self._closed or os.getpid() != self._pid:
            return
        self._writer.hurry()
        try:
            async with asyncio.timeout(rounds.CLOSE_SECONDS_MAX):
                await asyncio.gather(*[self.close_lease(lease_id) for lease_id in self._own_leases()])
        except (StoreUnavailable, Overloaded, TimeoutError) as error:
            log.warning("leases were left open, and will be taken over once they are over: %s", error)
        self._closed = True
        self._drive.end()
        self._give_up(await self._drive.join())
        await self._reader.close()
        self._peers.close()
        for waiting in self._waiting.values():
            waiting.cancel()

    def _give_up(self, left: Sequence[Operation]) -> None:
        """The writer does not come to an end: another process is suspended while it has the right to write."""
        for operation in left:
            operation.error = StoreUnavailable(
                "it may or may not be written: the store was closed while another process kept it from writing"
            )
        self._resolve(left, ())

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    # -- runs

    async def start(self, new: NewRun) -> Started:
        size.check_new_run(new)
        started: Started = await self._put(start.start, new, start.want_start)
        return started

    def submit(self, commit: Commit) -> Promise:
        size.check_commit(commit)
        if commit.id is not None:
            self._sweep_commit_ids()
        promise = Promise(loop=self._loop)
        self._queue(Operation(change.commit_run, commit, change.want_commit, promise, deed=commit.deed))
        return promise

    async def commit(self, commit: Commit) -> Committed:
        return await self.submit(commit)

    def _sweep_commit_ids(self) -> None:
        """From the first one on, because most processes make only a few."""
        if self._ids_committed % FORGET_COMMIT_IDS_EVERY == 0:
            self._put(retention.forget_commit_ids, None)
        self._ids_committed += 1

    async def was_committed(self, commit_id: str) -> bool:
        return bool(await self._put(retention.was_committed, commit_id))

    async def send(self, message: NewMessage) -> Sent:
        size.check_message(message)
        sent: Sent = await self._put(start.send, message, start.want_send)
        return sent

    # -- leases

    def _own_leases(self) -> list[str]:
        return self._writer.renewals.lease_ids()

    async def open_lease(self, lease: Lease) -> None:
        await self._put(ownership.open_lease, lease)
        self._writer.renewals.keep(lease.lease_id, lease.lease_seconds)
        self._drive.wake()

    async def close_lease(self, lease_id: str) -> None:
        self._writer.renewals.let_go(lease_id)
        await self._put(ownership.close_lease, lease_id)
        self._forget_probe(lease_id)

    async def reap(self) -> list[str]:
        judged = await self._read(self._judge_leases)
        over = [state for state, is_dead in judged if self._has_stood_still(state) or is_dead]
        self._seen = {state.lease.lease_id: self._seen[state.lease.lease_id] for state, _ in judged}
        over.sort(key=lambda state: state.lease.lease_id)  # two who end the same ones do not wait in a circle
        ending = [self._put(ownership.end_lease, self._last_words(state)) for state in over]
        outcomes = await asyncio.gather(*ending)
        ended = [state.lease.lease_id for state, was_ended in zip(over, outcomes, strict=True) if was_ended]
        for lease_id in ended:
            self._forget_probe(lease_id)
        if set(ended).intersection(self._own_leases()):
            self._look_at_leases()
        return ended

    def _judge_leases(self, db: DB) -> list[tuple[LeaseState, bool]]:
        """Each open lease, and whether its process is surely dead. To ask that can take a while on some systems."""
        leases = self._questions.list_leases(db)
        return [(state, self._is_surely_dead(state.lease.process)) for state in leases]

    def _last_words(self, state: LeaseState) -> tuple[str, int, str | None]:
        return state.lease.lease_id, state.counter, self._probed(state)

    def _probed(self, state: LeaseState) -> str | None:
        """The suspect that its process ran when it last said something."""
        raise NotImplementedError

    def _forget_probe(self, lease_id: str) -> None:
        """The lease is over."""
        raise NotImplementedError

    def _has_stood_still(self, state: LeaseState) -> bool:
        """Whether its counter has not moved for a lease length on our own clock, in which it could have been moved.

        This store's own leases are never judged by the clock: the thread that renews them is ours.
        """
        lease, now = state.lease, self.clock.monotonic()
        counter, since = self._seen.get(lease.lease_id, (-1, now))
        if counter != state.counter:
            since = now
        self._seen[lease.lease_id] = (state.counter, since)
        if lease.lease_id in self._own_leases() or now - since < lease.lease_seconds:
            return False
        return self._writer.steady_seconds(lease.lease_seconds) >= lease.lease_seconds

    async def claim_runs(self, lease_id: str, limit: int, types: Sequence[str] | None = None) -> list[Run]:
        runs: list[Run] = await self._put(ownership.claim_runs, (lease_id, limit, types))
        return runs

    async def list_owned_runs(self, lease_id: str) -> list[Run]:
        return await self._read(self._questions.list_owned_runs, lease_id)

    async def probe(self, lease_id: str, run_id: str | None) -> None:
        raise NotImplementedError

    # -- tasks

    async def claim_tasks(self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[Task]:
        return (await self.claim_work(lease_id, queues, kinds, limit)).tasks

    async def claim_work(
        self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int, types: Sequence[str] = ()
    ) -> Claimed:
        claimed: Claimed = await self._put(queueing.claim_work, (lease_id, queues, kinds, limit, types))
        return claimed

    async def list_held_tasks(self, lease_id: str) -> list[Task]:
        return await self._read(self._questions.list_held_tasks, lease_id)

    async def release_task(self, token: TaskToken, *, visible_at: int, attempt: int, data: bytes | None = None) -> None:
        await self._put(task.release_task, (token, visible_at, attempt, data))

    # -- queues

    async def declare_queues(self, declarations: Sequence[Declaration]) -> list[Queue]:
        others: list[Queue] = await self._put(queueing.declare_queues, (declarations, self.clock.now()))
        return others

    async def change_queue(self, change: QueueChange) -> Queue:
        queue: Queue = await self._put(queueing.change_queue, change)
        return queue

    async def list_queues(self) -> list[QueueState]:
        return await self._read(self._questions.list_queues)

    async def list_backlogs(self) -> list[Backlog]:
        return await self._read(self._questions.list_backlogs, self.clock.now())

    async def read_flow(self, namespace: str, window: Window) -> list[Stretch]:
        window.check()
        return await self._read(self._questions.read_flow, namespace, window)

    async def find_place(self, run_id: str) -> PlaceInQueue | None:
        return await self._read(self._questions.find_place, run_id, self.clock.now())

    # -- asks

    async def ask(self, run_id: str, kind: str, name: str, data: bytes, timeout_seconds: float) -> bytes:
        ask_id = self._ids()
        deadline = self.clock.now() + int(timeout_seconds * 1e6)
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting[ask_id] = answer
        try:
            await self._put(
                asking.put_ask,
                Ask(ask_id=ask_id, run_id=run_id, kind=kind, name=name, data=data, deadline=deadline),
            )
            async with asyncio.timeout(timeout_seconds):
                return await self._await_answer(ask_id, answer)
        finally:
            del self._waiting[ask_id]
            if not self._closed and not answer.done():  # otherwise whoever answered took the ask away
                self._put(asking.drop_asks, [ask_id])

    async def _await_answer(self, ask_id: str, answer: asyncio.Future[bytes]) -> bytes:
        """The answer from this process, or from another one, which leaves it in the database."""
        while not answer.done():
            news = asyncio.Event()
            hear = _on_asks(news)
            self.listen(hear)
            wake = _setter(news)
            answer.add_done_callback(wake)
            try:
                found = await self._read(self._questions.read_answers, [ask_id])
                if ask_id in found:
                    return bytes(found[ask_id])
                async with asyncio.timeout(ANSWER_POLL_SECONDS):
                    await news.wait()
            except TimeoutError:
                continue
            finally:
                self.unlisten(hear)
                answer.remove_done_callback(wake)
        return answer.result()

    async def take_asks(self, lease_id: str, limit: int) -> list[Ask]:
        if not await self._read(self._questions.any_asks):
            return []
        asks: list[Ask] = await self._put(asking.take_asks, (lease_id, limit))
        return asks

    async def answer(self, ask_id: str, data: bytes) -> None:
        waiting = self._waiting.get(ask_id)
        if waiting is not None:
            if not waiting.done():
                waiting.set_result(data)
            return
        await self._put(asking.put_answer, (ask_id, data))

    # -- reading

    async def read_run(self, run_id: str) -> Run | None:
        return await self._read(self._questions.read_run, run_id)

    async def find_run(self, namespace: str, workflow_id: str) -> Run | None:
        return await self._read(self._questions.find_run, namespace, workflow_id)

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
        return await self._read(self._questions.list_runs, namespace, statuses, conditions, types, before, limit)

    async def count_runs(
        self,
        namespace: str,
        *,
        statuses: Sequence[Status] = (),
        conditions: Sequence[Condition] = (),
        types: Sequence[str] = (),
    ) -> int:
        return await self._read(self._questions.count_runs, namespace, statuses, conditions, types)

    async def search_runs(
        self, namespace: str, search: Search, *, after: Place | None = None, limit: int = 100
    ) -> Page:
        return await self._read(self._questions.search_runs, namespace, search, after, limit)

    async def count_found(self, namespace: str, where: Predicate) -> int:
        return await self._read(self._questions.count_found, namespace, where)

    async def count_groups(self, namespace: str, where: Predicate, field: Field, groups_max: int) -> list[Group]:
        return await self._read(self._questions.count_groups, namespace, where, field, groups_max)

    async def list_attributes(self, namespace: str) -> list[Attribute]:
        return await self._read(self._questions.list_attributes, namespace)

    async def register_attributes(self, named: Sequence[Attribute]) -> None:
        await self._put(attribute.register, named)

    async def load(self, run_id: str) -> Loaded:
        return await self._read(self._questions.load, run_id)

    async def read_events(self, run_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        return await self._read(self._questions.read_events, run_id, after_seq, limit)

    async def read_state(self, run_id: str, kind: str | None = None) -> dict[tuple[str, str], bytes]:
        return await self._read(self._questions.read_state, run_id, kind)

    async def list_state(
        self, namespace: str, kind: str, *, after: tuple[str, str] | None = None, limit: int = 100
    ) -> list[tuple[str, str, bytes]]:
        return await self._read(self._questions.list_state, namespace, kind, after, limit)

    async def read_messages(self, run_id: str) -> list[Message]:
        return await self._read(self._questions.read_messages, run_id)

    async def read_messages_of(self, run_ids: Sequence[str]) -> list[Message]:
        return await self._read(self._questions.read_messages_of, run_ids)

    async def read_inbox(self, lease_id: str, after: int, limit: int = 1000) -> list[Message]:
        return await self._read(self._questions.read_inbox, lease_id, after, limit)

    async def next_wake(self, lease_id: str, types: Sequence[str] | None = None) -> int | None:
        return await self._read(self._questions.next_wake, lease_id, types)

    async def read_log(self, after: Position, limit: int = 1000) -> list[LogEntry]:
        return await self._read(self._questions.read_log, after, limit)

    async def list_namespaces(self, after: str = "", limit: int = 1000) -> list[str]:
        return await self._read(self._questions.list_namespaces, after, limit)

    async def read_log_ends(self) -> list[Position]:
        return await self._read(self._questions.read_log_ends)

    async def read_audit(self, run_id: str) -> list[AuditLine]:
        return await self._read(self._questions.read_audit, run_id)

    async def list_leases(self) -> list[LeaseState]:
        return await self._read(self._questions.list_leases)

    # -- subscribers, definitions, housekeeping

    async def save_cursor(self, subscriber: str, position: Position) -> None:
        await self._put(retention.save_cursor, (subscriber, position))

    async def read_cursor(self, subscriber: str, shard: int) -> Position | None:
        return await self._read(self._questions.read_cursor, subscriber, shard)

    async def publish(self, definitions: Sequence[Definition]) -> None:
        await self._put(retention.publish, definitions)

    async def list_definitions(self, namespace: str) -> list[Definition]:
        return await self._read(self._questions.list_definitions, namespace)

    async def read_kept(self, where: KeptIn, after: Spot | None = None) -> list[Kept]:
        return await self._read(self._questions.read_kept, where, after)

    async def swap_kept(self, where: KeptIn, swaps: Sequence[Swap]) -> None:
        if swaps:
            await self._put(retention.swap_kept, (where, swaps))

    async def rebuild(self) -> int:
        return int(await self._put(ownership.rebuild, None))

    async def purge(self, namespace: str, closed_before: int, limit: int = 1000) -> int:
        removed = 0
        while removed < limit:
            now_removed = int(await self._put(retention.purge, (namespace, closed_before, limit - removed)))
            if not now_removed:
                break
            removed += now_removed
        return removed

    async def list_closed(
        self, namespace: str, status: Status, closed_before: int, limit: int = 100
    ) -> list[ClosedRun]:
        return await self._read(self._questions.list_closed, namespace, status, closed_before, limit)

    async def remove_runs(self, seen: Sequence[ClosedRun]) -> list[str]:
        removed: list[str] = []
        for part in retention.in_transactions(seen):
            removed += await self._put(retention.remove_runs, part, retention.want_removal)
        return removed

    async def import_run(self, loaded: Loaded, audit: Sequence[AuditLine] = ()) -> None:
        size.check_imported(loaded, audit)
        await self._put(importing.import_run, importing.Imported(loaded, tuple(audit)), importing.want_import)


def _setter(news: asyncio.Event) -> Callable[[object], None]:
    return lambda _: news.set()


def _on_asks(news: asyncio.Event) -> Listener:
    def hear(hint: Hint) -> None:
        if hint.kind is HintKind.ASKS:
            news.set()

    return hear
