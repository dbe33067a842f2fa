"""Rows: how the nouns of the journal look in the rows that statements return."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keepstep.journal.ask import Ask
from keepstep.journal.deciding.codes import CONDITIONS, STATUSES, from_json, lease_of
from keepstep.journal.event import Event, LogEntry, Position
from keepstep.journal.lease import LeaseState
from keepstep.journal.line import told
from keepstep.journal.message import Message
from keepstep.journal.run import Run
from keepstep.journal.task import Task, TaskToken

Row = tuple[Any, ...]


def run_of(row: Row) -> Run:
    """A run from the columns of ``statements._RUN``."""
    return Run(
        run_id=row[0],
        workflow_id=row[1],
        namespace=row[2],
        shard=row[3],
        language=row[4],
        format=row[5],
        type=row[6],
        queue=row[7],
        status=STATUSES[row[8]],
        condition=CONDITIONS[row[9]],
        detail=row[10],
        version=row[11] + row[12],
        last_seq=row[12],
        epoch=row[13],
        owner=row[14],
        wake_at=told(row[15]),
        started_at=row[16],
        closed_at=row[17],
        parent_run_id=row[18],
        parent_key=row[19],
        input_digest=row[20],
        attributes=from_json(row[21]) if row[21] else {},
        status_text=row[22],
        strikes=row[23],
        continued_from=row[24],
    )


def events_of(rows: Iterable[Row]) -> list[Event]:
    return [Event(*row) for row in rows]


def log_of(shard: int, rows: Iterable[Row]) -> list[LogEntry]:
    return [LogEntry(Position(shard, n), run_id, Event(*event)) for n, run_id, *event in rows]


def messages_of(rows: Iterable[Row]) -> list[Message]:
    return [
        Message(run_id=run_id, n=n, kind=kind, name=name, data=data, time=time, id=message_id)
        for run_id, n, kind, name, data, time, message_id in rows
    ]


def tasks_of(rows: Iterable[Row]) -> list[Task]:
    return [
        Task(
            token=TaskToken(row[0], row[1]),
            run_id=row[2],
            workflow_id=row[3],
            namespace=row[4],
            kind=row[5],
            key=row[6],
            queue=row[7],
            data=row[8],
            priority=row[9],
            visible_at=row[10],
            deadline=row[11],
            attempt=row[12],
        )
        for row in rows
    ]


def asks_of(rows: Iterable[Row]) -> list[Ask]:
    return [
        Ask(ask_id=ask_id, run_id=run_id, kind=kind, name=name, data=data, deadline=deadline)
        for ask_id, run_id, kind, name, data, deadline in rows
    ]


def leases_of(rows: Iterable[Row]) -> list[LeaseState]:
    return [
        LeaseState(lease=lease_of(body), counter=counter, probing=probing, runs_held=runs, tasks_held=tasks)
        for body, counter, probing, runs, tasks in rows
    ]
