"""Queries: what can be asked of the database without changing it. Each runs on one of the reader's threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from sqlite3 import Connection, DataError
from typing import Any

import msgspec

from keepstep.journal.attribute import Attribute
from keepstep.journal.closed import ClosedRun
from keepstep.journal.deciding.codes import (
    STATUS_CODES,
    from_json,
    json_text,
    lease_of,
    queue_of,
)
from keepstep.journal.deciding.retention import PURGE_RUNS_PASSED_OVER_MAX
from keepstep.journal.definition import Definition
from keepstep.journal.errors import NotFound, PositionGone
from keepstep.journal.event import Event, LogEntry, Position
from keepstep.journal.field import Field
from keepstep.journal.lease import Lease, LeaseState
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

from . import statements as sql
from .backlog import list_backlogs as list_backlogs
from .flow import read_flow as read_flow
from .kept import read_kept as read_kept
from .page import ROWS_AT_ONCE, read_pages
from .rows import (
    SHARD,
    events_of,
    leases_of,
    log_of,
    messages_of,
    run_of,
    state_of,
    tasks_of,
)
from .search import SqliteSearcher, attributes_of

UNLIMITED = 1 << 62


def claimable_by(lease: Lease, types: Sequence[str] | None) -> tuple[dict[str, Any], int]:
    """Parameters that say what a lease may claim, and how many pairs of queue and language they name."""
    pairs = sorted(set(product(lease.queues, lease.languages)))
    asked: dict[str, Any] = {"types": None if types is None else json_text(types), "lease_id": lease.lease_id}
    for i, (queue, language) in enumerate(pairs):
        asked |= {f"queue{i}": queue, f"language{i}": language}
    return asked, len(pairs)


def read_run(db: Connection, run_id: str) -> Run | None:
    row = db.execute(sql.READ_RUN, (run_id,)).fetchone()
    return None if row is None else run_of(from_json(row[0]))


def find_run(db: Connection, namespace: str, workflow_id: str) -> Run | None:
    row = db.execute(sql.FIND_RUN, (namespace, workflow_id)).fetchone()
    return None if row is None else run_of(from_json(row[0]))


def list_runs(
    db: Connection,
    namespace: str,
    statuses: Sequence[Status],
    conditions: Sequence[Condition],
    types: Sequence[str],
    before: tuple[int, str] | None,
    limit: int,
) -> list[Run]:
    with _snapshot(db):
        return read_runs(SqliteSearcher(db, namespace), statuses, conditions, types, before, limit)


def count_runs(
    db: Connection, namespace: str, statuses: Sequence[Status], conditions: Sequence[Condition], types: Sequence[str]
) -> int:
    return count_found(db, namespace, predicate_of(statuses, conditions, types))


def search_runs(db: Connection, namespace: str, search: Search, after: Place | None, limit: int) -> Page:
    with _snapshot(db):
        return read_page(SqliteSearcher(db, namespace), search, after, limit)


def count_found(db: Connection, namespace: str, where: Predicate) -> int:
    with _snapshot(db):
        return SqliteSearcher(db, namespace).count_all(where)


def count_groups(db: Connection, namespace: str, where: Predicate, field: Field, groups_max: int) -> list[Group]:
    with _snapshot(db):
        return SqliteSearcher(db, namespace).count_groups(where, field, groups_max)


def list_attributes(db: Connection, namespace: str) -> list[Attribute]:
    (rows,) = db.execute(sql.LIST_ATTRIBUTES, (namespace,)).fetchone()
    return [Attribute(namespace, name, type_) for name, type_ in attributes_of(rows)]


def load(db: Connection, run_id: str) -> Loaded:
    """A run in one snapshot. Events never change, so a history of several pages is still as of that snapshot."""
    try:
        row = db.execute(sql.LOAD, (run_id, 0, ROWS_AT_ONCE)).fetchone()
    except DataError:
        return _load_large(db, run_id)
    if row is None:
        raise NotFound(f"there is no run {run_id}")
    run, events = run_of(from_json(row[0])), events_of(row[1], row[2])
    _read_rest(db, run, events)
    return Loaded(run, events, state_of(row[3]), messages_of(row[4]))


def _load_large(db: Connection, run_id: str) -> Loaded:
    """Where all of it is larger than one value may be."""
    with _snapshot(db):
        run = read_run(db, run_id)
        if run is None:
            raise NotFound(f"there is no run {run_id}")
        state, messages = read_state(db, run_id, None), read_messages(db, run_id)
    events: list[Event] = []
    _read_rest(db, run, events)
    return Loaded(run, events, state, messages)


@contextmanager
def _snapshot(db: Connection) -> Iterator[None]:
    """What is read within is as of one moment."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("COMMIT")


def _read_rest(db: Connection, run: Run, events: list[Event]) -> None:
    while len(events) < run.last_seq:
        page = read_events(db, run.run_id, len(events), run.last_seq - len(events))
        if not page:
            raise NotFound(f"run {run.run_id} was removed while it was read")
        events += page


def read_events(db: Connection, run_id: str, after_seq: int, limit: int) -> list[Event]:
    def read(after: int, rows_max: int) -> list[Event]:
        return events_of(*db.execute(sql.READ_EVENTS, (run_id, after, rows_max)).fetchone())

    return read_pages(read, after_seq, limit, lambda event: event.seq)


def read_state(db: Connection, run_id: str, kind: str | None) -> dict[tuple[str, str], bytes]:
    def read(after: tuple[str, str] | None, rows_max: int) -> list[tuple[tuple[str, str], bytes]]:
        after_kind, after_key = after or (None, None)
        (rows,) = db.execute(sql.READ_STATE, (run_id, kind, after_kind, after_key, rows_max)).fetchone()
        return list(state_of(rows).items())

    with _snapshot(db):
        return dict(read_pages(read, None, UNLIMITED, lambda item: item[0]))


def list_state(
    db: Connection, namespace: str, kind: str, after: tuple[str, str] | None, limit: int
) -> list[tuple[str, str, bytes]]:
    def read(place: tuple[str, str] | None, rows_max: int) -> list[tuple[str, str, bytes]]:
        after_run_id, after_key = place or (None, None)
        asked: dict[str, Any] = {"namespace": namespace, "kind": kind, "limit": rows_max}
        asked |= {"after_run_id": after_run_id, "after_key": after_key}
        (rows,) = db.execute(sql.LIST_STATE, asked).fetchone()
        return [(run_id, key, bytes.fromhex(data)) for run_id, key, data in from_json(rows)]

    return read_pages(read, after, limit, lambda row: row[:2])


def read_messages(db: Connection, run_id: str) -> list[Message]:
    def read(after: int, rows_max: int) -> list[Message]:
        return messages_of(db.execute(sql.READ_MESSAGES, (run_id, after, rows_max)).fetchone()[0])

    with _snapshot(db):
        return read_pages(read, 0, UNLIMITED, lambda message: message.n)


def read_messages_of(db: Connection, run_ids: Sequence[str]) -> list[Message]:
    named = json_text(sorted(set(run_ids)))

    def read(after: int, rows_max: int) -> list[Message]:
        return messages_of(db.execute(sql.READ_MESSAGES_OF, (named, after, rows_max)).fetchone()[0])

    with _snapshot(db):
        return read_pages(read, 0, UNLIMITED, lambda message: message.n)


def read_inbox(db: Connection, lease_id: str, after: int, limit: int) -> list[Message]:
    def read(place: int, rows_max: int) -> list[Message]:
        return messages_of(db.execute(sql.READ_INBOX, (lease_id, place, rows_max)).fetchone()[0])

    return read_pages(read, after, limit, lambda message: message.n)


def next_wake(db: Connection, lease_id: str, types: Sequence[str] | None) -> int | None:
    found = db.execute(sql.LEASE_BODY, (lease_id,)).fetchone()
    if found is None:
        return None
    asked, pairs = claimable_by(lease_of(found[1]), types)
    if not pairs:
        return None
    (wake_at,) = db.execute(sql.next_wake(pairs), asked).fetchone()
    return told(wake_at)


def read_log(db: Connection, after: Position, limit: int) -> list[LogEntry]:
    def read(n: int, rows_max: int) -> list[LogEntry]:
        rows, data, purged = db.execute(sql.READ_LOG, (n, rows_max)).fetchone()
        if n < purged:
            raise PositionGone(
                f"position {n} lies behind what retention has kept; go on after {purged} at the earliest"
            )
        return log_of(rows, data)

    return read_pages(read, after.n, limit, lambda entry: entry.position.n) if after.shard == SHARD else []


def list_namespaces(db: Connection, after: str, limit: int) -> list[str]:
    return [name for (name,) in db.execute(sql.LIST_NAMESPACES, (after, limit))]


def read_log_ends(db: Connection) -> list[Position]:
    return [Position(SHARD, n) for (n,) in db.execute(sql.READ_LOG_END)]


def read_audit(db: Connection, run_id: str) -> list[AuditLine]:
    return [AuditLine(time, text) for time, text in from_json(db.execute(sql.READ_AUDIT, (run_id,)).fetchone()[0])]


def list_owned_runs(db: Connection, lease_id: str) -> list[Run]:
    (rows,) = db.execute(sql.LIST_OWNED_RUNS, (lease_id,)).fetchone()
    return [run_of(row) for row in from_json(rows)]


def list_held_tasks(db: Connection, lease_id: str) -> list[Task]:
    (rows,) = db.execute(sql.LIST_HELD_TASKS, (lease_id,)).fetchone()
    return tasks_of(rows)


def list_queues(db: Connection) -> list[QueueState]:
    (rows,) = db.execute(sql.LIST_QUEUES).fetchone()
    return [
        QueueState(queue=queue_of(bytes.fromhex(body)), waiting=waiting, held=held)
        for body, waiting, held in from_json(rows)
    ]


def find_place(db: Connection, run_id: str, now: int) -> PlaceInQueue | None:
    row = db.execute(sql.PLACE_OF_RUN, (run_id, now, PLACES_COUNTED_MAX)).fetchone()
    if row is None:
        return None
    name, fairness_key, not_before, priority, before, key_slots_held, holder, body = row
    queue = Queue(name=name) if body is None else queue_of(bytes.fromhex(body))
    waits = Ticket(queue=name, key="", priority=priority, fairness_key=fairness_key, not_before=not_before)
    return place_of(queue, waits, before, key_slots_held, holder)


def list_leases(db: Connection) -> list[LeaseState]:
    return leases_of(db.execute(sql.LIST_LEASES).fetchone()[0])


def read_cursor(db: Connection, subscriber: str, shard: int) -> Position | None:
    row = db.execute(sql.READ_CURSOR, (subscriber, shard)).fetchone()
    return None if row is None else Position(shard, row[0])


def list_closed(db: Connection, namespace: str, status: Status, closed_before: int, limit: int) -> list[ClosedRun]:
    asked = {"namespace": namespace, "status": STATUS_CODES[status], "closed_before": closed_before}
    asked |= {"limit": max(limit, 0), "looked_at": max(limit, 0) + PURGE_RUNS_PASSED_OVER_MAX}
    return [ClosedRun(*row) for row in from_json(db.execute(sql.LIST_CLOSED, asked).fetchone()[0])]


def list_definitions(db: Connection, namespace: str) -> list[Definition]:
    (rows,) = db.execute(sql.LIST_DEFINITIONS, (namespace,)).fetchone()
    return [msgspec.json.decode(bytes.fromhex(body), type=Definition) for body in from_json(rows)]


def any_asks(db: Connection) -> bool:
    return bool(db.execute(sql.ANY_ASKS).fetchone()[0])


def read_answers(db: Connection, ask_ids: list[str]) -> dict[str, bytes]:
    (rows,) = db.execute(sql.READ_ANSWERS, (json_text(ask_ids),)).fetchone()
    return {ask_id: bytes.fromhex(data) for ask_id, data in from_json(rows)}
