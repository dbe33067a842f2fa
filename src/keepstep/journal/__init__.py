"""The journal: what is durable. A port (``Journal``) and its nouns; stores live in the folders beside.

This room imports nothing else of Keepstep, and knows nothing of Python workflows: other languages, whose deciders are
remote workers, stand on the same port.
"""

from .ask import Ask
from .clock import Clock, ClockAnchor, SystemClock
from .closed import ClosedRun
from .commit import Commit, Committed, NewRun, Started, StateChange
from .deed import Connection, Cursor, Deed, Transaction
from .definition import Definition
from .errors import (
    AccessDenied,
    AlreadyStarted,
    AttributeRefused,
    Conflict,
    DeedFailed,
    Error,
    Fenced,
    InvalidInput,
    JournalError,
    NotFound,
    Overloaded,
    PositionGone,
    Promoted,
    RunClosed,
    SchemaTooNew,
    StatementRefused,
    StoreUnavailable,
    TooLarge,
    TransactionTooLong,
    Unreadable,
    Unsupported,
)
from .event import Event, LogEntry, NewEvent, Position
from .hint import Closing, Hint, HintKind, Listener
from .identifier import IdFactory, uuid7
from .lease import Lease, LeaseState, ProcessIdentity
from .message import Message, NewMessage, Sent
from .narrowed import narrowed_journal
from .outbox import Outbox
from .payload import Cell, Payload, cell_of, seal, seal_cell, unseal
from .port import PROBE_STRIKES, QUARANTINE_STRIKES, AuditLine, Journal, Loaded
from .process import is_surely_dead, this_process
from .promise import Promise
from .queue import (
    Claimed,
    Declaration,
    Limits,
    Place,
    Queue,
    QueueChange,
    QueueState,
    Rate,
    Ticket,
)
from .run import Condition, IfClosed, IfRunning, ParentLink, Run, Status
from .task import NewTask, Task, TaskRef, TaskToken
from .timer import Timer

__all__ = [
    "PROBE_STRIKES",
    "QUARANTINE_STRIKES",
    "AccessDenied",
    "AlreadyStarted",
    "Ask",
    "AttributeRefused",
    "AuditLine",
    "Cell",
    "Claimed",
    "Clock",
    "ClockAnchor",
    "ClosedRun",
    "Closing",
    "Commit",
    "Committed",
    "Condition",
    "Conflict",
    "Connection",
    "Cursor",
    "Declaration",
    "Deed",
    "DeedFailed",
    "Definition",
    "Error",
    "Event",
    "Fenced",
    "Hint",
    "HintKind",
    "IdFactory",
    "IfClosed",
    "IfRunning",
    "InvalidInput",
    "Journal",
    "JournalError",
    "Lease",
    "LeaseState",
    "Limits",
    "Listener",
    "Loaded",
    "LogEntry",
    "Message",
    "NewEvent",
    "NewMessage",
    "NewRun",
    "NewTask",
    "NotFound",
    "Outbox",
    "Overloaded",
    "ParentLink",
    "Payload",
    "Place",
    "Position",
    "PositionGone",
    "ProcessIdentity",
    "Promise",
    "Promoted",
    "Queue",
    "QueueChange",
    "QueueState",
    "Rate",
    "Run",
    "RunClosed",
    "SchemaTooNew",
    "Sent",
    "Started",
    "StateChange",
    "StatementRefused",
    "Status",
    "StoreUnavailable",
    "SystemClock",
    "Task",
    "TaskRef",
    "TaskToken",
    "Ticket",
    "Timer",
    "TooLarge",
    "Transaction",
    "TransactionTooLong",
    "Unreadable",
    "Unsupported",
    "cell_of",
    "is_surely_dead",
    "narrowed_journal",
    "seal",
    "seal_cell",
    "this_process",
    "unseal",
    "uuid7",
]
