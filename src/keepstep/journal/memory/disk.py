"""The shared "file" of the in-memory store: plain tables that several handles open, one handle a simulated process.

Everything that iterates does so in the order of insertion, never in the order of a hash, so that a simulation with the
same seed makes the same history. Rows are changed only inside a ``Transaction``, which runs to its end within one call:
there is no moment at which half of a change can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from keepstep.journal.clock import ClockAnchor
from keepstep.journal.deciding.turn import Progress
from keepstep.journal.definition import Definition
from keepstep.journal.errors import NotFound
from keepstep.journal.event import Event, Position
from keepstep.journal.field import FieldType
from keepstep.journal.lease import Lease, ProcessIdentity
from keepstep.journal.line import AT_ONCE
from keepstep.journal.message import Message, NewMessage
from keepstep.journal.port import AuditLine
from keepstep.journal.queue import Queue, Ticket
from keepstep.journal.run import Condition, Run, Status
from keepstep.journal.task import NewTask
from keepstep.journal.timer import Timer

from .news import News

SHARD = 0
"""This store is one database: it has one shard."""

UNOFFERED = (Condition.PAUSED, Condition.QUARANTINED, Condition.QUEUED)
"""Conditions in which nobody is offered the run."""

PARKED = (*UNOFFERED, Condition.BLOCKED)
"""Conditions in which a message does not wake the run."""


@dataclass(slots=True)
class TaskRow:
    """A task: waiting (``owner`` is None) or held."""

    task_id: int
    run_id: str
    task: NewTask
    epoch: int
    owner: str | None


@dataclass(slots=True)
class RunRow:
    """A run and all that belongs to it."""

    run: Run
    number: int
    """In the order of creation; of runs that are due since the same time the older goes first."""
    events: list[Event] = field(default_factory=list)
    log_numbers: list[int] = field(default_factory=list)
    history_bytes: int = 0
    state: dict[tuple[str, str], bytes] = field(default_factory=dict)
    inbox: dict[int, Message] = field(default_factory=dict)
    wakers: dict[int, None] = field(default_factory=dict)
    """Arrival numbers of the unconsumed messages that wake."""
    message_ids: dict[str, int] = field(default_factory=dict)
    """Every message id that the run ever got, so that a late duplicate is still dropped."""
    timers: tuple[Timer, ...] = ()
    tasks: dict[tuple[str, str], TaskRow] = field(default_factory=dict)
    blocked_for: tuple[str, ...] = ()
    due_since: int | None = None
    """Its place in line, once it is due: its wake time, or since when it is due at once."""
    claimed_seq: int = 0
    """``last_seq`` when its owner took it; what it has appended since is progress."""
    audit: list[AuditLine] = field(default_factory=list)
    ticket: Ticket | None = None
    """How it waits, or has waited, on its queue."""

    def change(self, **changes: Any) -> None:
        self.run = msgspec.structs.replace(self.run, **changes)

    def is_open(self) -> bool:
        return self.run.status is Status.RUNNING

    def is_asleep(self) -> bool:
        return self.is_open() and self.run.owner is None

    def next_wake(self, *others: int | None) -> int | None:
        """When the run wants a decider by its inbox, its timers and the other times handed in."""
        if self.wakers:
            return AT_ONCE
        times = [timer.fire_at for timer in self.timers] + [time for time in others if time is not None]
        return min(times, default=None)


@dataclass(slots=True)
class LeaseRow:
    """An open lease."""

    lease: Lease
    process: ProcessIdentity
    """Who is asked whether it still lives: the handle's process, which in a simulation is not this one."""
    counter: int = 0
    probing: str | None = None


@dataclass(slots=True)
class QueueRow:
    """A queue of which something is kept, and what its claims remember."""

    queue: Queue
    progress: Progress


@dataclass(slots=True)
class AskRow:
    """An ask on its way; its answer goes to the handle of that number."""

    run_id: str
    kind: str
    name: str
    data: bytes
    deadline: int
    asker: int
    taken: bool = False


@dataclass(slots=True)
class LogRow:
    """Where in which history the event of a log position is."""

    run_id: str
    seq: int


class MemoryDisk:
    """All tables. Shared by handles, and what is left when all of them have crashed."""

    def __init__(self) -> None:
        self.runs: dict[str, RunRow] = {}
        self.open_runs: dict[str, RunRow] = {}
        self.workflows: dict[tuple[str, str], list[str]] = {}
        """All runs of a workflow id, oldest first."""
        self.open_workflows: dict[tuple[str, str], str] = {}
        """The one open run of a workflow id."""
        self.tasks: dict[int, TaskRow] = {}
        self.queues: dict[str, QueueRow] = {}
        self.leases: dict[str, LeaseRow] = {}
        self.asks: dict[str, AskRow] = {}
        self.log: dict[int, LogRow] = {}
        self.log_last = 0
        self.log_purged = 0
        """The highest position that retention has removed; a cursor before it has missed something."""
        self.cursors: dict[tuple[str, int], Position] = {}
        self.commits: dict[str, int] = {}
        self.attributes: dict[str, dict[str, FieldType]] = {}
        """By namespace and name: what runs can be searched by."""
        self.definitions: dict[tuple[str, str, str, str], Definition] = {}
        self.anchor: ClockAnchor | None = None
        self.dead: list[ProcessIdentity] = []
        self.handles: dict[int, Any] = {}
        self._numbers = {"run": 0, "arrival": 0, "task": 0, "ask": 0, "handle": 0}

    def next_number(self, series: str) -> int:
        self._numbers[series] += 1
        return self._numbers[series]

    def is_surely_dead(self, process: ProcessIdentity) -> bool:
        return process in self.dead

    def find(self, namespace: str, workflow_id: str) -> RunRow | None:
        """The open run of a workflow id, or else its newest."""
        name = (namespace, workflow_id)
        if name in self.open_workflows:
            return self.runs[self.open_workflows[name]]
        return self.runs[self.workflows[name][-1]] if self.workflows.get(name) else None

    def add_open(self, row: RunRow) -> None:
        run = row.run
        self.open_runs[run.run_id] = row
        self.open_workflows[run.namespace, run.workflow_id] = run.run_id

    def remove_open(self, row: RunRow) -> None:
        run = row.run
        del self.open_runs[run.run_id]
        del self.open_workflows[run.namespace, run.workflow_id]

    def target(self, message: NewMessage) -> RunRow | None:
        """The run that a message is addressed to."""
        if message.run_id is not None:
            row = self.runs.get(message.run_id)
            return row if row is None or message.namespace in (None, row.run.namespace) else None
        return self.find(message.namespace or "", message.workflow_id or "")

    def get(self, run_id: str) -> RunRow:
        row = self.runs.get(run_id)
        if row is None:
            raise NotFound(f"there is no run {run_id}")
        return row


@dataclass(slots=True)
class Transaction:
    """What a change works on: the tables, the engine time at which it happens, and the news it makes."""

    disk: MemoryDisk
    now: int
    news: News

    def is_due(self, row: RunRow) -> bool:
        return row.is_asleep() and row.run.wake_at is not None and row.run.wake_at <= self.now

    def wake(self, row: RunRow, wake_at: int | None) -> None:
        """Set when a run without an owner next wants a decider."""
        since = row.due_since if self.is_due(row) else self.now
        row.change(wake_at=wake_at)
        row.due_since = since if wake_at == AT_ONCE else wake_at
        if self.is_due(row):
            self.news.ready(row.run.run_id)

    def remove_task(self, task: TaskRow) -> None:
        del self.disk.tasks[task.task_id]
        del self.disk.runs[task.run_id].tasks[task.task.kind, task.task.key]
