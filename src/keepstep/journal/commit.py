"""Commit: the only way to change a run. All of it happens, or nothing.

A commit names what it expects (a lease epoch, a version, a task token, an inbox without unseen messages) and what it
changes. The store checks the expectations inside the transaction that makes the changes; a commit that is refused
changes nothing and does not disturb the others that travel in the same group.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .deed import Deed
from .event import NewEvent
from .message import NewMessage
from .queue import Ticket
from .run import Condition, IfClosed, IfRunning, ParentLink, Status
from .task import NewTask, TaskRef, TaskToken
from .timer import Timer


class StateChange(msgspec.Struct, frozen=True, gc=False):
    """Set (or, with ``data=None``, delete) one piece of what a language remembers outside of history."""

    kind: str
    key: str
    data: bytes | None


class NewRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run to be started, with the events that its history begins with."""

    run_id: str
    workflow_id: str
    namespace: str
    language: str
    format: int
    type: str
    queue: str
    events: tuple[NewEvent, ...]
    started_at: int
    input_digest: bytes
    attributes: dict[str, Any] = {}
    parent: ParentLink | None = None
    wake_at: int | None = 0
    """When a decider should first look at it: 0 for at once, a later time for a delayed start."""
    ticket: Ticket | None = None
    """How it waits, where its queue has limits or it asks for that. None: by its queue and type."""
    if_running: IfRunning = IfRunning.ATTACH
    if_closed: IfClosed = IfClosed.ATTACH
    lease_id: str | None = None
    """Start the run already leased to this lease (epoch 1), so that the starter's own worker advances it at once. One
    that has to wait on its queue is not."""
    continued_from: str | None = None
    timers: tuple[Timer, ...] = ()
    tasks: tuple[NewTask, ...] = ()
    messages: tuple[NewMessage, ...] = ()
    """Delivered to the new run, or to the run attached to, in the same transaction (signal-with-start)."""


class Started(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Outcome of a start. The starter compares type and digest when it attached to a run that was there before."""

    run_id: str
    created: bool
    leased: bool
    type: str
    input_digest: bytes
    status: Status
    epoch: int
    version: int
    """The run's version right after this start: what the first commit of its owner stands on."""


class Commit(msgspec.Struct, kw_only=True):
    """A change of one run.

    Unlike its neighbours it is known to Python's collector, because what a deed holds may lead back to it.

    Exactly one of ``epoch`` (the writer holds the run's lease), ``version`` (nobody holds it, or the writer overrules
    the holder with ``seize``) or ``task_token`` must be given; more of them may be.
    """

    run_id: str
    # what is expected
    epoch: int | None = None
    version: int | None = None
    task_token: TaskToken | None = None
    """The task must still be held under this token. It is removed by the commit unless ``keep_task``."""
    inbox_seen: int | None = None
    """Refuse with ``Conflict`` if an unconsumed message has a greater arrival number."""
    first_seq: int | None = None
    """The seq that the writer takes its first event to get; refused with ``Conflict`` if it would get another."""
    id: str | None = None
    """Given by writers that want to ask ``Journal.was_committed`` after an unknown outcome."""
    # what is changed
    events: tuple[NewEvent, ...] = ()
    state: tuple[StateChange, ...] = ()
    consume: tuple[int, ...] = ()
    """Arrival numbers of the messages that this commit consumes; one that is gone already is a ``Conflict``."""
    send: tuple[NewMessage, ...] = ()
    """Messages to other runs, delivered in the same transaction where the store is one database. A message to a run
    that is missing or closed is dropped."""
    start: tuple[NewRun, ...] = ()
    """Runs to start (children, continuation, restart). A refused start does not fail the commit: the committing run
    gets a message ``start_refused`` whose name is the parent key."""
    tasks: tuple[NewTask, ...] = ()
    drop_tasks: tuple[TaskRef, ...] = ()
    keep_task: bool = False
    timers: tuple[Timer, ...] | None = None
    """All timers of the run from now on; None leaves them as they are."""
    status: Status | None = None
    condition: Condition | None = None
    detail: bytes | None = None
    attributes: dict[str, Any] | None = None
    """Merged into the run's attributes; a None value removes the name."""
    status_text: str | None = None
    release: bool = False
    """Give the run's lease back. The run then wakes at its earliest timer, at ``wake_at`` if given, or at once if its
    inbox holds a message that wakes."""
    wake_at: int | None = None
    seize: bool = False
    """Take the run from whoever holds it: the epoch grows, so that the holder's next commit is refused. Needs
    ``version``."""
    lease_id: str | None = None
    """With ``seize``: the lease that owns the run from now on (None: nobody)."""
    blocked_for: str | None = None
    """With ``condition=BLOCKED``: do not offer the run to this lease again."""
    clear_strikes: bool = False
    """The run has made progress; it is no suspect any more."""
    is_progress: bool = True
    """False: its events only say what is going on, as a step does that writes to a stream. Whoever dies after them gets
    a strike as if they were not there, or a run that speaks and then kills its worker would do so for ever."""
    is_spoken: bool = False
    """Somebody may be listening to its events: they are hinted at (``HintKind.SPOKEN``)."""
    audit: str | None = None
    """A line for the audit stream (who did what), beside history."""
    deed: Deed | None = None
    """Work on the caller's own tables in the same transaction; its events follow those of ``events``. A store that has
    no room for such tables refuses it with ``DeedFailed`` from ``Unsupported``."""


class Committed(msgspec.Struct, frozen=True, gc=False):
    """Outcome of a commit: the run's version, the seq of its last event, and its lease epoch, all after it."""

    version: int
    last_seq: int
    epoch: int
    started: tuple[Started, ...] = ()
    recorded: tuple[NewEvent, ...] = ()
    """The events that the commit's deed has made."""
