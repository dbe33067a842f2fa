"""Queries: what can be asked of the schema without changing it. Each runs on one of the reader's threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from keepstep.journal.attribute import Attribute
from keepstep.journal.backlog import Backlog
from keepstep.journal.closed import ClosedRun
from keepstep.journal.deciding.codes import STATUS_CODES, lease_of, queue_of
from keepstep.journal.deciding.retention import PURGE_RUNS_PASSED_OVER_MAX
from keepstep.journal.definition import Definition
from keepstep.journal.errors import NotFound
from keepstep.journal.event import Event, LogEntry, Position
from keepstep.journal.field import Field, FieldType
from keepstep.journal.flow import Stretch, Window
from keepstep.journal.hint import HintKind
from keepstep.journal.kept import Kept, KeptIn, Spot
from keepstep.journal.lease import LeaseState
from keepstep.journal.line import told
from keepstep.journal.message import Message
from keepstep.journal.port import AuditLine, Loaded
from keepstep.journal.queue import PLACES_COUNTED_MAX, Queue, QueueState, Ticket, place_of
from keepstep.journal.queue import Place as PlaceInQueue
from keepstep.journal.run import Condition, Run, Status
from keepstep.journal.search import Group, Page, Place, Predicate, Search
from keepstep.journal.searching import list_runs as read_runs
from keepstep.journal.searching import predicate_of
from keepstep.journal.searching import search as read_page
from keepstep.journal.task import Task

from . import kept, log, readings
from . import statements as sql
from .backlog import list_backlogs
from .flow import read_flow
from .inbox import Inbox
from .pulse import Pulse, Wake, Watch
from .rows import events_of, leases_of, messages_of, run_of, tasks_of
from .search import PostgresSearcher
from .shard import shard_of
from .statement import Statement
from .wire import BEGIN_SNAPSHOT, Wire

UNLIMITED = 1 << 62

EVENTS_AT_ONCE = 4096


class Queries:
    """The questions of one process, which knows how many shards there are and what its leases have read."""

    def __init__(self, shards: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._shards = shards
        self.monotonic = monotonic
        self._inboxes: dict[str, Inbox] = {}
        self._wakes: dict[str, Wake] = {}
        self._no_wake = Wake(None, None, monotonic)
        self._asks, self._tasks = Watch(monotonic), Watch(monotonic)
        self._looked_for: tuple[list[str], list[str]] = ([], [])
        """Queues and kinds of tasks that were looked for last."""
        self.news = 0
        """Grows with every hint: what was seen before may not be so any more."""
        self.finds = 0
        """Grows whenever there is a run or a task that this process could claim."""

    def forget_lease(self, lease_id: str) -> None:
        """The lease is over."""
        self._inboxes.pop(lease_id, None)
        self._wakes.pop(lease_id, None)

    def read_run(self, db: Wire, run_id: str) -> Run | None:
        return _one_run(db, readings.READ_RUN, run_id)

    def find_run(self, db: Wire, namespace: str, workflow_id: str) -> Run | None:
        return _one_run(db, readings.FIND_RUN, shard_of(namespace, workflow_id, self._shards), namespace, workflow_id)

    def list_runs(
        self,
        db: Wire,
        namespace: str,
        statuses: Sequence[Status],
        conditions: Sequence[Condition],
        types: Sequence[str],
        before: tuple[int, str] | None,
        limit: int,
    ) -> list[Run]:
        with _snapshot(db):
            found = PostgresSearcher(db, namespace, self._shards)
            return read_runs(found, statuses, conditions, types, before, limit)

    def count_runs(
        self,
        db: Wire,
        namespace: str,
        statuses: Sequence[Status],
        conditions: Sequence[Condition],
        types: Sequence[str],
    ) -> int:
        return self.count_found(db, namespace, predicate_of(statuses, conditions, types))

    def read_kept(self, db: Wire, where: KeptIn, after: Spot | None) -> list[Kept]:
        return kept.read_kept(db, where, after)

    def search_runs(self, db: Wire, namespace: str, search: Search, after: Place | None, limit: int) -> Page:
        with _snapshot(db):
            return read_page(PostgresSearcher(db, namespace, self._shards), search, after, limit)

    def count_found(self, db: Wire, namespace: str, where: Predicate) -> int:
        with _snapshot(db):
            return PostgresSearcher(db, namespace, self._shards).count_all(where)

    def count_groups(self, db: Wire, namespace: str, where: Predicate, field: Field, groups_max: int) -> list[Group]:
        with _snapshot(db):
            return PostgresSearcher(db, namespace, self._shards).count_groups(where, field, groups_max)

    def list_attributes(self, db: Wire, namespace: str) -> list[Attribute]:
        rows = db.ask(readings.LIST_ATTRIBUTES, namespace)
        return [Attribute(namespace, name, FieldType(type_)) for name, type_ in rows]

    def load(self, db: Wire, run_id: str) -> Loaded:
        """A run in one snapshot. Events never change, so that a long history may be read behind it."""
        db.begin(BEGIN_SNAPSHOT)
        db.queue(readings.READ_RUN, run_id)
        db.queue(readings.READ_EVENTS, run_id, 0, EVENTS_AT_ONCE)
        db.queue(readings.READ_STATE, run_id, None)
        db.queue(readings.READ_MESSAGES, run_id)
        found, events, state, messages = map(db.rows, db.commit())
        if not found:
            raise NotFound(f"there is no run {run_id}")
        run, history = run_of(found[0]), events_of(events)
        while len(history) < run.last_seq:
            page = self.read_events(db, run_id, len(history), min(EVENTS_AT_ONCE, run.last_seq - len(history)))
            if not page:
                raise NotFound(f"run {run_id} was removed while it was read")
            history += page
        return Loaded(run, history, {(kind, key): data for kind, key, data in state}, messages_of(messages))

    def read_events(self, db: Wire, run_id: str, after_seq: int, limit: int) -> list[Event]:
        return events_of(db.ask(readings.READ_EVENTS, run_id, after_seq, limit))

    def read_state(self, db: Wire, run_id: str, kind: str | None) -> dict[tuple[str, str], bytes]:
        return {(kind, key): data for kind, key, data in db.ask(readings.READ_STATE, run_id, kind)}

    def list_state(
        self, db: Wire, namespace: str, kind: str, after: tuple[str, str] | None, limit: int
    ) -> list[tuple[str, str, bytes]]:
        rows = db.ask(readings.LIST_STATE, namespace, kind, *(after or (None, None)), limit)
        return [(run_id, key, data) for run_id, key, data in rows]

    def read_messages(self, db: Wire, run_id: str) -> list[Message]:
        return messages_of(db.ask(readings.READ_MESSAGES, run_id))

    def read_messages_of(self, db: Wire, run_ids: Sequence[str]) -> list[Message]:
        return messages_of(db.ask(readings.READ_MESSAGES_OF, list(run_ids)))

    def read_inbox(self, db: Wire, lease_id: str, after: int, limit: int) -> list[Message]:
        return self._inboxes.setdefault(lease_id, Inbox()).read(db, lease_id, after, limit)

    def next_wake(self, db: Wire, lease_id: str, types: Sequence[str] | None) -> int | None:
        wake = self._wakes.get(lease_id)
        if wake is None or wake.types != types:
            found = db.ask(sql.READ_LEASE, lease_id)
            if not found:
                return None
            wake = self._wakes[lease_id] = Wake(lease_of(found[0][0]), types, self.monotonic)
        elif wake.is_fresh(self.news):
            return wake.take()
        [(wake_at,)] = db.ask(sql.NEXT_WAKE, *wake.parameters)
        return told(wake_at)

    def wake_of(self, lease_id: str, types: Sequence[str] | None) -> Wake | None:
        """When the next run is due, if that was asked before."""
        wake = self._wakes.get(lease_id)
        return wake if wake is not None and wake.types == types else None

    def any_tasks(self, db: Wire, lease_id: str, queues: Sequence[str], kinds: Sequence[str], now: int) -> bool:
        if self._tasks.is_surely_none(self.news, (lease_id, *queues, "", *kinds)):
            return False
        self._looked_for = (list(queues), list(kinds))
        return bool(db.ask(readings.ANY_TASKS, lease_id, queues, kinds, now)[0][0])

    def take_pulse(self, db: Wire, due: Sequence[str], now: int) -> Pulse:
        """All leases, of which those that are due are renewed; and what else the process will soon ask."""
        wake, news = next(iter(self._wakes.values()), self._no_wake), self.news
        rows = db.ask(readings.PULSE, *wake.parameters, due, *self._looked_for, now)
        if any(row[5] == wake.lease_id for row in rows):
            _, _, _, _, _, _, _, wake_at, any_asks, any_tasks = rows[0]
            wake.note(told(wake_at), news)
            self._asks.note(news, is_there=any_asks)
            self._tasks.note(news, is_there=any_tasks)
        else:
            any_asks = any_tasks = False
        found = [kind for kind, is_there in ((HintKind.ASKS, any_asks), (HintKind.TASKS, any_tasks)) if is_there]
        return Pulse(leases_of(row[:5] for row in rows), [row[5] for row in rows if row[6]], found)

    def read_log(self, db: Wire, after: Position, limit: int) -> list[LogEntry]:
        return log.read_log(db, after, limit)

    def list_namespaces(self, db: Wire, after: str, limit: int) -> list[str]:
        return [name for (name,) in db.ask(readings.LIST_NAMESPACES, after, limit)]

    def read_log_ends(self, db: Wire) -> list[Position]:
        return log.read_ends(db)

    def read_audit(self, db: Wire, run_id: str) -> list[AuditLine]:
        return [AuditLine(time, text) for time, text in db.ask(readings.READ_AUDIT, run_id)]

    def list_owned_runs(self, db: Wire, lease_id: str) -> list[Run]:
        return [run_of(row) for row in db.ask(readings.LIST_OWNED_RUNS, lease_id)]

    def list_held_tasks(self, db: Wire, lease_id: str) -> list[Task]:
        return tasks_of(db.ask(sql.LIST_HELD_TASKS, lease_id))

    def list_queues(self, db: Wire) -> list[QueueState]:
        return [
            QueueState(queue=queue_of(body), waiting=waiting, held=held)
            for body, waiting, held in db.ask(readings.LIST_QUEUES)
        ]

    def list_backlogs(self, db: Wire, now: int) -> list[Backlog]:
        return list_backlogs(db, now)

    def read_flow(self, db: Wire, namespace: str, window: Window) -> list[Stretch]:
        return read_flow(db, namespace, window)

    def find_place(self, db: Wire, run_id: str, now: int) -> PlaceInQueue | None:
        found = db.ask(readings.FIND_PLACE, run_id, now, PLACES_COUNTED_MAX)
        if not found:
            return None
        name, fairness_key, not_before, priority, before, key_slots_held, holder, body = found[0]
        waits = Ticket(queue=name, key="", priority=priority, fairness_key=fairness_key, not_before=not_before)
        queue = Queue(name=name) if body is None else queue_of(body)
        return place_of(queue, waits, before, key_slots_held, holder)

    def list_leases(self, db: Wire) -> list[LeaseState]:
        return leases_of(db.ask(sql.LIST_LEASES))

    def read_cursor(self, db: Wire, subscriber: str, shard: int) -> Position | None:
        found = db.ask(sql.READ_CURSOR, shard, subscriber)
        return Position(shard, found[0][0]) if found else None

    def list_closed(self, db: Wire, namespace: str, status: Status, closed_before: int, limit: int) -> list[ClosedRun]:
        limits = (max(limit, 0), max(limit, 0) + PURGE_RUNS_PASSED_OVER_MAX)
        rows = db.ask(readings.LIST_CLOSED, namespace, STATUS_CODES[status], closed_before, *limits)
        return [ClosedRun(*row) for row in rows]

    def list_definitions(self, db: Wire, namespace: str) -> list[Definition]:
        return [msgspec.json.decode(body, type=Definition) for (body,) in db.ask(sql.LIST_DEFINITIONS, namespace)]

    def any_asks(self, db: Wire) -> bool:
        if self._asks.is_surely_none(self.news):
            return False
        return bool(db.ask(sql.ANY_ASKS)[0][0])

    def read_answers(self, db: Wire, ask_ids: list[str]) -> dict[str, bytes]:
        return dict(db.ask(sql.READ_ANSWERS, ask_ids))


@contextmanager
def _snapshot(db: Wire) -> Iterator[None]:
    """What is read within is as of one moment, by statements that are planned for their values."""
    db.begin(BEGIN_SNAPSHOT)
    db.queue(readings.PLAN_EACH)
    try:
        yield
    except BaseException:
        db.roll_back()
        raise
    db.commit()


def _one_run(db: Wire, statement: Statement, *values: Any) -> Run | None:
    found = db.ask(statement, *values)
    return run_of(found[0]) if found else None
