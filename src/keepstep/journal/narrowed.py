"""The journal of one namespace: a store as those see it who live there.

``narrowed_journal`` puts a namespace before a store. Whoever holds the outcome can name runs of that namespace alone,
by workflow id and by run id; queues have the names that the namespace calls them by, and their keys in the store
(``namespace``). What belongs to the store as a whole is passed on as it is (``PASSED_ON``): its clock, its hints, the
ends of leases whoever held them, and the log with its positions, which has the events of all. A test holds that list
against the port.

The namespace of a run never changes. Which runs are of this one is remembered, a bounded number of them, so that a run
id is looked up once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import msgspec

from .attribute import Attribute
from .backlog import Backlog
from .closed import ClosedRun
from .commit import Commit, Committed, NewRun, Started
from .deed import Transaction
from .definition import Definition
from .errors import InvalidInput, NotFound
from .event import Event
from .field import QUEUE, Field
from .flow import Stretch, Window
from .hint import Hint, HintKind, Listener, Relay
from .lease import Lease, LeaseState
from .message import Message, NewMessage, Sent
from .namespace import is_queue_of, queue_key, queue_name, queue_prefix
from .outbox import Outbox
from .port import AuditLine, Journal, Loaded
from .promise import Promise
from .queue import Claimed, Declaration, Place, Queue, QueueChange, QueueState
from .run import Run, Status
from .search import All, Either, Group, Not, OneOf, Page, Predicate, Search, Within
from .search import Place as PlaceInSearch
from .task import NewTask, Task

replace = msgspec.structs.replace

PASSED_ON = frozenset(
    "clock performs_deeds value_bytes_max close was_committed close_lease reap probe release_task take_asks answer "
    "read_inbox next_wake read_log read_log_ends save_cursor read_cursor read_kept swap_kept rebuild".split()
)
"""What belongs to the store as a whole, or names a lease, a task or an ask that was got from here."""

KNOWN_MAX = 100_000


def narrowed_journal(journal: Journal, namespace: str, *beside: str) -> Journal:
    """The journal of a namespace, and of those beside it in which it keeps runs of other languages."""
    return cast(Journal, NarrowedJournal(journal, namespace, *beside))


class NarrowedJournal:
    """See the module."""

    def __init__(self, journal: Journal, namespace: str, *beside: str) -> None:
        self._journal = journal
        self._namespace = namespace
        self._namespaces = frozenset((namespace, *beside))
        self._prefix = queue_prefix(namespace)
        self._known: OrderedDict[str, None] = OrderedDict()
        """Ids of runs that are here."""
        self._relay = Relay(journal, self._hint_here)
        self.clock = journal.clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    # whose it is

    def _check(self, namespace: str) -> str:
        if namespace not in self._namespaces:
            raise InvalidInput(f"namespace {namespace!r} cannot be reached from here; open an engine with namespace=")
        return namespace

    def _note(self, run_id: str) -> None:
        self._known[run_id] = None
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    async def _is_here(self, run_id: str) -> bool:
        return run_id in self._known or await self.read_run(run_id) is not None

    async def _check_here(self, run_id: str) -> None:
        if not await self._is_here(run_id):
            raise NotFound(f"there is no run {run_id}")

    # queues by name and by key

    def _key(self, name: str) -> str:
        return queue_key(self._prefix, name)

    def _name(self, key: str) -> str:
        return queue_name(self._prefix, key)

    def _run(self, run: Run) -> Run:
        self._note(run.run_id)
        return replace(run, queue=self._name(run.queue)) if self._prefix else run

    def _runs(self, runs: Sequence[Run]) -> list[Run]:
        return [self._run(run) for run in runs]

    def _tasks(self, tasks: list[Task]) -> list[Task]:
        for task in tasks:
            self._note(task.run_id)
        return [replace(task, queue=self._name(task.queue)) for task in tasks] if self._prefix else tasks

    def _new_run(self, new: NewRun) -> NewRun:
        self._check(new.namespace)
        queue, tasks = self._key(new.queue), tuple(map(self._new_task, new.tasks))
        ticket = None if new.ticket is None else replace(new.ticket, queue=self._key(new.ticket.queue))
        return replace(new, queue=queue, ticket=ticket, tasks=tasks) if self._prefix else new

    def _new_task(self, new: NewTask) -> NewTask:
        queue, fallback = self._key(new.queue), None if new.fallback_queue is None else self._key(new.fallback_queue)
        return replace(new, queue=queue, fallback_queue=fallback) if self._prefix else new

    def _commit(self, commit: Commit) -> Commit:
        """One that offers tasks or starts runs names queues; nearly all do neither, and are what they are."""
        for new in commit.start:
            self._note(new.run_id)
        tasks, start = tuple(map(self._new_task, commit.tasks)), tuple(map(self._new_run, commit.start))
        return replace(commit, tasks=tasks, start=start) if self._prefix else commit

    def _queue(self, queue: Queue) -> Queue:
        return replace(queue, name=self._name(queue.name))

    def _predicate(self, wanted: Predicate) -> Predicate:
        match wanted:
            case OneOf(field, values) if field == QUEUE:
                return OneOf(field, tuple(self._prefix + str(value) for value in values))
            case Within(field, low, high) if field == QUEUE:
                low, high = (None if each is None else self._prefix + str(each) for each in (low, high))
                return replace(wanted, low=low, high=high)
            case All(parts):
                return All(tuple(map(self._predicate, parts)))
            case Either(parts):
                return Either(tuple(map(self._predicate, parts)))
            case Not(part):
                return Not(self._predicate(part))
            case _:
                return wanted

    # hints

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every hint; of runs that were closed here, with those of this namespace."""
        self._relay.listen(listener)

    def unlisten(self, listener: Listener) -> None:
        self._relay.unlisten(listener)

    def _hint_here(self, hint: Hint) -> Hint | None:
        if hint.kind is not HintKind.CLOSED or not hint.closings:
            return hint
        here = tuple(each for each in hint.closings if each.run_id in self._known)
        return replace(hint, closings=here) if here else None

    # writing

    async def start(self, new: NewRun) -> Started:
        started = await self._journal.start(self._new_run(new))
        self._note(started.run_id)
        return started

    async def commit(self, commit: Commit) -> Committed:
        await self._check_here(commit.run_id)
        return await self._journal.commit(self._commit(commit))

    def submit(self, commit: Commit) -> Promise:
        """Of a run that was claimed, or read, here."""
        return self._journal.submit(self._commit(commit) if commit.tasks or commit.start else commit)

    async def send(self, message: NewMessage) -> Sent:
        return await self._journal.send(await self._reachable(message))

    async def _reachable(self, message: NewMessage) -> NewMessage:
        """What was here may have been removed, and imported elsewhere: the store looks once more."""
        if message.run_id is not None:
            if not await self._is_here(message.run_id):
                raise NotFound(f"there is no run {message.run_id!r} to send {message.kind!r} to")
            return replace(message, namespace=self._namespace)
        if message.namespace is not None:
            self._check(message.namespace)
        return message

    def transaction(self, *, is_async: bool) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction(is_async)

    @asynccontextmanager
    async def _transaction(self, is_async: bool) -> AsyncIterator[Transaction]:
        async with self._journal.transaction(is_async=is_async) as transaction:
            yield _NarrowedTransaction(self, transaction)

    def within(self, connection: Any) -> Outbox:
        return _NarrowedOutbox(self, self._journal.within(connection))

    async def register_attributes(self, named: Sequence[Attribute]) -> None:
        for each in named:
            self._check(each.namespace)
        await self._journal.register_attributes(named)

    async def publish(self, definitions: Sequence[Definition]) -> None:
        for each in definitions:
            self._check(each.namespace)
        await self._journal.publish(definitions)

    async def purge(self, namespace: str, closed_before: int, limit: int = 1000) -> int:
        return await self._journal.purge(self._check(namespace), closed_before, limit)

    async def list_closed(
        self, namespace: str, status: Status, closed_before: int, limit: int = 100
    ) -> list[ClosedRun]:
        found = await self._journal.list_closed(self._check(namespace), status, closed_before, limit)
        for each in found:
            self._note(each.run_id)
        return found

    async def remove_runs(self, seen: Sequence[ClosedRun]) -> list[str]:
        return await self._journal.remove_runs([each for each in seen if await self._is_here(each.run_id)])

    async def import_run(self, loaded: Loaded, audit: Sequence[AuditLine] = ()) -> None:
        self._check(loaded.run.namespace)
        here = replace(loaded.run, queue=self._key(loaded.run.queue))
        if await self._has_foreign_parent(here):
            here = replace(here, parent_run_id=None, parent_key=None)
        await self._journal.import_run(replace(loaded, run=here), audit)
        self._note(here.run_id)

    async def _has_foreign_parent(self, run: Run) -> bool:
        """Whether it names a run of another namespace, which would hear how it has ended if it is retried."""
        parent = None if run.parent_run_id is None else await self._journal.read_run(run.parent_run_id)
        return parent is not None and parent.namespace not in self._namespaces

    # claiming

    async def open_lease(self, lease: Lease) -> None:
        await self._journal.open_lease(replace(lease, queues=tuple(map(self._key, lease.queues))))

    async def list_leases(self) -> list[LeaseState]:
        """Those that serve queues of this namespace."""
        found = await self._journal.list_leases()
        return [
            replace(state, lease=replace(state.lease, queues=tuple(map(self._name, state.lease.queues))))
            for state in found
            if all(is_queue_of(self._prefix, key) for key in state.lease.queues)
        ]

    async def claim_runs(self, lease_id: str, limit: int, types: Sequence[str] | None = None) -> list[Run]:
        return self._runs(await self._journal.claim_runs(lease_id, limit, types))

    async def list_owned_runs(self, lease_id: str) -> list[Run]:
        return self._runs(await self._journal.list_owned_runs(lease_id))

    async def claim_tasks(self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[Task]:
        return self._tasks(await self._journal.claim_tasks(lease_id, list(map(self._key, queues)), kinds, limit))

    async def claim_work(
        self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int, types: Sequence[str] = ()
    ) -> Claimed:
        claimed = await self._journal.claim_work(lease_id, list(map(self._key, queues)), kinds, limit, types)
        return Claimed(self._tasks(claimed.tasks), self._runs(claimed.runs), claimed.again_at)

    async def list_held_tasks(self, lease_id: str) -> list[Task]:
        return self._tasks(await self._journal.list_held_tasks(lease_id))

    # queues

    async def declare_queues(self, declarations: Sequence[Declaration]) -> list[Queue]:
        there = await self._journal.declare_queues([replace(each, name=self._key(each.name)) for each in declarations])
        return [self._queue(queue) for queue in there]

    async def change_queue(self, change: QueueChange) -> Queue:
        return self._queue(await self._journal.change_queue(replace(change, name=self._key(change.name))))

    async def list_queues(self) -> list[QueueState]:
        found = await self._journal.list_queues()
        return [
            replace(state, queue=self._queue(state.queue))
            for state in found
            if is_queue_of(self._prefix, state.queue.name)
        ]

    async def list_backlogs(self) -> list[Backlog]:
        found = await self._journal.list_backlogs()
        return [replace(each, queue=self._name(each.queue)) for each in found if is_queue_of(self._prefix, each.queue)]

    async def read_flow(self, namespace: str, window: Window) -> list[Stretch]:
        return await self._journal.read_flow(self._check(namespace), window)

    async def find_place(self, run_id: str) -> Place | None:
        place = await self._journal.find_place(run_id) if await self._is_here(run_id) else None
        return None if place is None else replace(place, queue=self._name(place.queue))

    # asks

    async def ask(self, run_id: str, kind: str, name: str, data: bytes, timeout_seconds: float) -> bytes:
        await self._check_here(run_id)
        return await self._journal.ask(run_id, kind, name, data, timeout_seconds)

    # reading

    async def read_run(self, run_id: str) -> Run | None:
        run = await self._journal.read_run(run_id)
        return None if run is None or run.namespace not in self._namespaces else self._run(run)

    async def find_run(self, namespace: str, workflow_id: str) -> Run | None:
        run = await self._journal.find_run(self._check(namespace), workflow_id)
        return None if run is None else self._run(run)

    async def list_runs(self, namespace: str, **options: Any) -> list[Run]:
        return self._runs(await self._journal.list_runs(self._check(namespace), **options))

    async def count_runs(self, namespace: str, **options: Any) -> int:
        return await self._journal.count_runs(self._check(namespace), **options)

    async def search_runs(
        self, namespace: str, search: Search, *, after: PlaceInSearch | None = None, limit: int = 100
    ) -> Page:
        """A place in the order of queues is one of their keys; nobody looks into it."""
        wanted = replace(search, where=self._predicate(search.where)) if self._prefix else search
        page = await self._journal.search_runs(self._check(namespace), wanted, after=after, limit=limit)
        return Page(self._runs(page.runs), page.after)

    async def count_found(self, namespace: str, where: Predicate) -> int:
        return await self._journal.count_found(self._check(namespace), self._predicate(where))

    async def count_groups(self, namespace: str, where: Predicate, field: Field, groups_max: int) -> list[Group]:
        found = await self._journal.count_groups(self._check(namespace), self._predicate(where), field, groups_max)
        if field != QUEUE:
            return found
        return [(None if value is None else self._name(str(value)), count) for value, count in found]

    async def list_namespaces(self, after: str = "", limit: int = 1000) -> list[str]:
        """Its own, and those beside it, if they have runs."""
        found = [each for each in sorted(self._namespaces) if each > after]
        return [each for each in found if await self._journal.list_runs(each, limit=1)][:limit]

    async def list_attributes(self, namespace: str) -> list[Attribute]:
        return await self._journal.list_attributes(self._check(namespace))

    async def list_definitions(self, namespace: str) -> list[Definition]:
        return await self._journal.list_definitions(self._check(namespace))

    async def list_state(self, namespace: str, kind: str, **options: Any) -> list[tuple[str, str, bytes]]:
        return await self._journal.list_state(self._check(namespace), kind, **options)

    async def load(self, run_id: str) -> Loaded:
        loaded = await self._journal.load(run_id)
        if loaded.run.namespace not in self._namespaces:
            raise NotFound(f"there is no run {run_id}")
        return replace(loaded, run=self._run(loaded.run))

    async def read_events(self, run_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        return await self._journal.read_events(run_id, after_seq, limit) if await self._is_here(run_id) else []

    async def read_state(self, run_id: str, kind: str | None = None) -> dict[tuple[str, str], bytes]:
        return await self._journal.read_state(run_id, kind) if await self._is_here(run_id) else {}

    async def read_messages(self, run_id: str) -> list[Message]:
        return await self._journal.read_messages(run_id) if await self._is_here(run_id) else []

    async def read_messages_of(self, run_ids: Sequence[str]) -> list[Message]:
        return await self._journal.read_messages_of([each for each in run_ids if await self._is_here(each)])

    async def read_audit(self, run_id: str) -> list[AuditLine]:
        return await self._journal.read_audit(run_id) if await self._is_here(run_id) else []


class _NarrowedTransaction:
    """``Transaction`` of one namespace."""

    def __init__(self, seam: NarrowedJournal, transaction: Transaction) -> None:
        self._seam = seam
        self._transaction = transaction
        self.connection = transaction.connection

    async def commit(self, commit: Commit) -> Committed:
        return await self._transaction.commit(self._seam._commit(commit))


class _NarrowedOutbox:
    """``Outbox`` of one namespace."""

    def __init__(self, seam: NarrowedJournal, outbox: Outbox) -> None:
        self._seam = seam
        self._outbox = outbox

    async def start(self, new: NewRun) -> Started:
        started = await self._outbox.start(self._seam._new_run(new))
        self._seam._note(started.run_id)
        return started

    async def send(self, message: NewMessage) -> Sent:
        return await self._outbox.send(await self._seam._reachable(message))
