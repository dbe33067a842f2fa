"""Rows: how the nouns of the journal look in the tables and in the JSON rows that statements return."""

from __future__ import annotations

from typing import Any

from keepstep.journal.ask import Ask
from keepstep.journal.deciding.codes import CONDITIONS, STATUSES, from_json, lease_of, queue_of
from keepstep.journal.deciding.turn import Progress, progress_of
from keepstep.journal.event import Event, LogEntry, Position
from keepstep.journal.lease import LeaseState
from keepstep.journal.line import told
from keepstep.journal.message import Message
from keepstep.journal.queue import Queue
from keepstep.journal.run import Run
from keepstep.journal.task import Task, TaskToken

SHARD = 0
"""One database is one shard."""


def run_of(row: list[Any]) -> Run:
    """A run from the columns of ``statements._RUN``."""
    return Run(
        run_id=row[0],
        workflow_id=row[1],
        namespace=row[2],
        shard=SHARD,
        language=row[3],
        format=row[4],
        type=row[5],
        queue=row[6],
        status=STATUSES[row[7]],
        condition=CONDITIONS[row[8]],
        detail=bytes.fromhex(row[9]),
        version=row[10] + row[11],
        last_seq=row[11],
        epoch=row[12],
        owner=row[13],
        wake_at=told(row[14]),
        started_at=row[15],
        closed_at=row[16],
        parent_run_id=row[17],
        parent_key=row[18],
        input_digest=bytes.fromhex(row[19]),
        attributes=from_json(row[20]) if row[20] else {},
        status_text=row[21],
        strikes=row[22],
        continued_from=row[23],
    )


def events_of(rows: str, data: bytes | None) -> list[Event]:
    """Events from a list of their columns, the length of each one's data last, and all data joined."""
    events: list[Event] = []
    joined, begin = data or b"", 0
    for seq, kind, time, key, length in from_json(rows):
        end = begin + length
        events.append(Event(seq, kind, time, key, joined[begin:end]))
        begin = end
    return events


def log_of(rows: str, data: bytes | None) -> list[LogEntry]:
    entries: list[LogEntry] = []
    joined, begin = data or b"", 0
    for n, run_id, seq, kind, time, key, length in from_json(rows):
        end = begin + length
        entries.append(LogEntry(Position(SHARD, n), run_id, Event(seq, kind, time, key, joined[begin:end])))
        begin = end
    return entries


def state_of(rows: str) -> dict[tuple[str, str], bytes]:
    return {(kind, key): bytes.fromhex(data) for kind, key, data in from_json(rows)}


def messages_of(rows: str) -> list[Message]:
    return [
        Message(run_id=run_id, n=n, kind=kind, name=name, data=bytes.fromhex(data), time=time, id=message_id)
        for run_id, n, kind, name, data, time, message_id in from_json(rows)
    ]


def tasks_of(rows: str) -> list[Task]:
    return [
        Task(
            token=TaskToken(row[0], row[1]),
            run_id=row[2],
            workflow_id=row[3],
            namespace=row[4],
            kind=row[5],
            key=row[6],
            queue=row[7],
            data=bytes.fromhex(row[8]),
            priority=row[9],
            visible_at=row[10],
            deadline=row[11],
            attempt=row[12],
        )
        for row in from_json(rows)
    ]


def asks_of(rows: str) -> list[Ask]:
    return [
        Ask(ask_id=ask_id, run_id=run_id, kind=kind, name=name, data=bytes.fromhex(data), deadline=deadline)
        for ask_id, run_id, kind, name, data, deadline in from_json(rows)
    ]


def leases_of(rows: str) -> list[LeaseState]:
    return [
        LeaseState(lease=lease_of(bytes.fromhex(body)), counter=counter, probing=None, runs_held=runs, tasks_held=n)
        for body, counter, runs, n in from_json(rows)
    ]


def queues_of(rows: list[list[str]]) -> list[tuple[Queue, Progress]]:
    """Queues and what their claims remember."""
    return [(queue_of(bytes.fromhex(body)), progress_of(bytes.fromhex(progress))) for body, progress in rows]
