"""The port that every store implements, and what a caller may rely on.

Promises (``tests/journal`` tries to break each on every store):

1. Events are never changed, nor removed before their run's retention ends; ``seq`` is contiguous from 1. (A codec may
   have the seal around their data replaced, ``swap_kept``: who reads them through it sees no difference.)
2. A commit whose expectation fails is refused (``Fenced``, ``Conflict``), changes nothing, and never fails the others
   that travel in the same group.
3. Once ``commit`` (or ``start``, ``send``) returns, it survives ``kill -9`` and power loss.
4. A message is consumed by exactly one commit.
5. Tasks, timers and wake times are derived; ``rebuild`` brings a run back whose derived rows are gone.
6. What a dead owner held is given back by anyone's ``reap``.
7. ``read_log`` gives all events of a shard in order and never skips one.
8. Nothing is due before its time on the clock that the store was given.

Methods are coroutines of the event loop on which the store was opened. Writing methods queue for the next group
commit; they raise ``Overloaded`` if the queue is full, ``StoreUnavailable`` if the store is closed. A writing method
that is cancelled may or may not have happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from .ask import Ask
from .attribute import Attribute
from .backlog import Backlog
from .clock import Clock
from .closed import ClosedRun
from .commit import Commit, Committed, NewRun, Started
from .deed import Transaction
from .definition import Definition
from .event import Event, LogEntry, Position
from .field import Field
from .flow import Stretch, Window
from .hint import Listener
from .kept import Kept, KeptIn, Spot, Swap
from .lease import Lease, LeaseState
from .message import Message, NewMessage, Sent
from .outbox import Outbox
from .promise import Promise
from .queue import Claimed, Declaration, Queue, QueueChange, QueueState
from .queue import Place as PlaceInQueue
from .run import Condition, Run, Status
from .search import Group, Page, Place, Predicate, Search
from .task import Task, TaskToken

PROBE_STRIKES = 2
"""A run with this many strikes is a suspect: its next owner advances it alone, as a probe (``probe``)."""

QUARANTINE_STRIKES = 5
"""A run with this many strikes is quarantined by ``reap``."""


class Loaded(msgspec.Struct, frozen=True, gc=False):
    """All of one run, read in one snapshot."""

    run: Run
    events: list[Event]
    state: dict[tuple[str, str], bytes]
    messages: list[Message]


class AuditLine(msgspec.Struct, frozen=True, gc=False):
    """What an operator did to a run, and when."""

    time: int
    text: str


class Journal(Protocol):
    """What is durable."""

    clock: Clock
    performs_deeds: bool
    """Whether it does the work that a commit carries (``Commit.deed``); else it gives out a ``transaction`` for it."""

    value_bytes_max: int
    """What one value of a user's may have on its way through here."""

    async def close(self) -> None:
        """Flush what is queued and let go of everything. Leases that are still open are closed first."""
        ...

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every hint from now on."""
        ...

    def unlisten(self, listener: Listener) -> None:
        """Stop calling ``listener``."""
        ...

    # runs

    async def start(self, new: NewRun) -> Started:
        """Start a run, or attach to the newest run of that workflow id, as ``if_running`` and ``if_closed`` say.

        ``REJECT`` raises ``AlreadyStarted``. ``RESTART`` of a closed run starts a new one; of an open one it raises
        ``Conflict``: its language must close it first (a commit with ``status`` and ``start``).
        """
        ...

    async def commit(self, commit: Commit) -> Committed:
        """Change a run. Raises ``Fenced``, ``Conflict``, ``NotFound``, ``RunClosed`` (a closed run takes no commit
        but one with ``status=RUNNING``, which reopens it), ``TooLarge``, ``DeedFailed``."""
        ...

    def submit(self, commit: Commit) -> Promise:
        """``commit`` without a coroutine: queued when this returns. Submitted commits happen, and their futures
        resolve, in the order submitted. Raises at once what can be told at once (``TooLarge``, ``Overloaded``)."""
        ...

    async def was_committed(self, commit_id: str) -> bool:
        """Whether the commit with this id happened. Known for at least an hour."""
        ...

    async def send(self, message: NewMessage) -> Sent:
        """Say something to a run. Raises ``NotFound``, ``RunClosed``, ``Overloaded``."""
        ...

    def transaction(self, *, is_async: bool) -> AbstractAsyncContextManager[Transaction]:
        """A transaction on a connection of its own, of the driver's async or its plain kind.

        Raises ``StoreUnavailable`` where none is to be had, or where it broke before its commit; and ``Unsupported``
        from stores that perform deeds.
        """
        ...

    def within(self, connection: Any) -> Outbox:
        """What starts and sends within a transaction that the caller has open on a connection to the same database.

        Raises ``InvalidInput`` for another connection, or one without a transaction; ``Unsupported`` where there are
        no transactions.
        """
        ...

    # leases

    async def open_lease(self, lease: Lease) -> None:
        """Begin to own things. From now on the store renews the lease by itself until it is closed or lost.

        Blocked runs become claimable once more, so that each new worker tries each of them once.
        """
        ...

    async def close_lease(self, lease_id: str) -> None:
        """Give back all that the lease holds and forget it."""
        ...

    async def reap(self) -> list[str]:
        """End the leases that are over and give back what they held; their ids.

        A run that its dead owner had claimed and not advanced by any event, while not waiting, gets a strike, but not
        beyond ``PROBE_STRIKES``; the run that the dead owner was probing gets one in any case. At
        ``QUARANTINE_STRIKES`` a run is quarantined: its condition says so and nobody is offered it.
        """
        ...

    async def claim_runs(self, lease_id: str, limit: int, types: Sequence[str] | None = None) -> list[Run]:
        """Own up to ``limit`` runs that nobody owns and whose wake time has come, longest due first.

        Only runs in the lease's languages and queues, of the given types, and not blocked for this lease. Raises
        ``Fenced`` if the lease is over.
        """
        ...

    async def list_owned_runs(self, lease_id: str) -> list[Run]:
        """The open runs that a lease owns: what a claim may have brought whose answer was lost."""
        ...

    async def probe(self, lease_id: str, run_id: str | None) -> None:
        """Note that this lease's process now runs the suspect ``run_id``, alone; None as soon as it no longer does.

        The note outlives the process, if not the machine, and takes far less time than what it is made around: who
        is killed from outside should leave no blame behind. Raises ``Fenced``.
        """
        ...

    # tasks

    async def claim_tasks(self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[Task]:
        """Own up to ``limit`` tasks that are visible, by priority, then fairness, then age."""
        ...

    async def claim_work(
        self, lease_id: str, queues: Sequence[str], kinds: Sequence[str], limit: int, types: Sequence[str] = ()
    ) -> Claimed:
        """``claim_tasks``, and admit runs that wait on these queues and whose tickets have one of the keys ``types``;
        ``ANY_TYPE`` among these means every run whose ticket has its type as its key.

        Queues keep to their limits (``journal.queue``), whoever claims and whatever has crashed. Runs that are admitted
        are owned by the lease.
        """
        ...

    async def list_held_tasks(self, lease_id: str) -> list[Task]:
        """The tasks that a lease holds, likewise."""
        ...

    async def release_task(self, token: TaskToken, *, visible_at: int, attempt: int, data: bytes | None = None) -> None:
        """Put a task back, to be handed out again from ``visible_at``. Raises ``Fenced``."""
        ...

    # queues

    async def declare_queues(self, declarations: Sequence[Declaration]) -> list[Queue]:
        """Keep the limits of queues as code has them; the newest word counts. Queues that other code had declared
        otherwise are returned, as they were."""
        ...

    async def change_queue(self, change: QueueChange) -> Queue:
        """Keep what an operator says of a queue, which counts above what code declares."""
        ...

    async def list_queues(self) -> list[QueueState]:
        """All queues of which something is kept, by name."""
        ...

    async def list_backlogs(self) -> list[Backlog]:
        """What waits on queues, whether something is kept of them or not, by name."""
        ...

    async def find_place(self, run_id: str) -> PlaceInQueue | None:
        """Where a run waits for its admission; None if it does not."""
        ...

    # asks

    async def ask(self, run_id: str, kind: str, name: str, data: bytes, timeout_seconds: float) -> bytes:
        """Ask a run something and wait for the answer. Raises ``TimeoutError``."""
        ...

    async def take_asks(self, lease_id: str, limit: int) -> list[Ask]:
        """Asks to runs that this lease owns, and to runs that nobody owns; each is given out once."""
        ...

    async def answer(self, ask_id: str, data: bytes) -> None:
        """Answer an ask; one that nobody waits for any more is dropped."""
        ...

    # reading

    async def read_run(self, run_id: str) -> Run | None:
        """The run of that run id."""
        ...

    async def find_run(self, namespace: str, workflow_id: str) -> Run | None:
        """The newest run of that workflow id."""
        ...

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
        """Runs, newest first; ``before`` is (started_at, run_id) of the last run of the page before."""
        ...

    async def count_runs(
        self,
        namespace: str,
        *,
        statuses: Sequence[Status] = (),
        conditions: Sequence[Condition] = (),
        types: Sequence[str] = (),
    ) -> int:
        """How many runs fit."""
        ...

    async def search_runs(
        self, namespace: str, search: Search, *, after: Place | None = None, limit: int = 100
    ) -> Page:
        """A page of the runs that fit, in the order asked for; ``after`` is that of the page before.

        It sees everything that was committed before it was asked. A run that changes while pages are read is in one of
        them, in none or in two, as it moves in the order; all others are in exactly one. Raises ``InvalidInput`` where
        too many runs would have to be sorted.
        """
        ...

    async def count_found(self, namespace: str, where: Predicate) -> int:
        """How many runs fit. All are counted, which takes as long as it takes to look at them."""
        ...

    async def count_groups(self, namespace: str, where: Predicate, field: Field, groups_max: int) -> list[Group]:
        """How many of the runs that fit have each value of a field, most first; under None those that have none.

        A run counts under each text of a ``KEYWORD_LIST``. Takes as long as counting them. Raises ``InvalidInput``
        where there are more values than that.
        """
        ...

    async def list_attributes(self, namespace: str) -> list[Attribute]:
        """What runs of the namespace can be searched by, beside the built-in fields; by name."""
        ...

    async def register_attributes(self, named: Sequence[Attribute]) -> None:
        """Give attributes a type before the first run has a value. Raises ``AttributeRefused`` if one has another."""
        ...

    async def list_namespaces(self, after: str = "", limit: int = 1000) -> list[str]:
        """Namespaces that have runs, open or closed, those of other languages too, by name behind ``after``."""
        ...

    async def load(self, run_id: str) -> Loaded:
        """A run with its events, state and inbox. Raises ``NotFound``."""
        ...

    async def read_events(self, run_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        """A page of a run's history."""
        ...

    async def read_state(self, run_id: str, kind: str | None = None) -> dict[tuple[str, str], bytes]:
        """What the language remembers of a run outside of history, by (kind, key)."""
        ...

    async def list_state(
        self, namespace: str, kind: str, *, after: tuple[str, str] | None = None, limit: int = 100
    ) -> list[tuple[str, str, bytes]]:
        """State of one kind over all open runs: (run id, key, data), in the order of run id and key."""
        ...

    async def read_messages(self, run_id: str) -> list[Message]:
        """The unconsumed messages of a run, in order of arrival."""
        ...

    async def read_messages_of(self, run_ids: Sequence[str]) -> list[Message]:
        """The unconsumed messages of several runs, in order of arrival, in one question."""
        ...

    async def read_inbox(self, lease_id: str, after: int, limit: int = 1000) -> list[Message]:
        """Unconsumed messages, with arrival numbers above ``after``, of all runs that the lease owns, in order."""
        ...

    async def next_wake(self, lease_id: str, types: Sequence[str] | None = None) -> int | None:
        """Engine time at which ``claim_runs`` would next find a run, or None if it would not without news."""
        ...

    async def read_log(self, after: Position, limit: int = 1000) -> list[LogEntry]:
        """Events of a shard after a position, in order. Raises ``PositionGone``."""
        ...

    async def read_log_ends(self) -> list[Position]:
        """The position of the last event of every shard, for who wants to read what comes from now on. One of a shard
        without events has the number 0, or that up to which retention has removed it."""
        ...

    async def read_audit(self, run_id: str) -> list[AuditLine]:
        """What operators did to the run."""
        ...

    async def read_flow(self, namespace: str, window: Window) -> list[Stretch]:
        """How many runs began and ended in each stretch of a window. Raises ``InvalidInput``."""
        ...

    async def list_leases(self) -> list[LeaseState]:
        """All open leases, those that are over and not yet reaped included."""
        ...

    # subscribers, definitions, housekeeping

    async def save_cursor(self, subscriber: str, position: Position) -> None:
        """Register a subscriber, or move it; retention keeps what registered subscribers have not read."""
        ...

    async def read_cursor(self, subscriber: str, shard: int) -> Position | None:
        """Where a subscriber stands."""
        ...

    async def publish(self, definitions: Sequence[Definition]) -> None:
        """Tell clients which workflows are served and what they take; replaces those of the same name."""
        ...

    async def list_definitions(self, namespace: str) -> list[Definition]:
        """What has been published."""
        ...

    async def read_kept(self, where: KeptIn, after: Spot | None = None) -> list[Kept]:
        """The next pieces of a kind of data behind a spot, over all runs, in the order of spots; none at the end."""
        ...

    async def swap_kept(self, where: KeptIn, swaps: Sequence[Swap]) -> None:
        """Put other bytes that mean the same in the place of those that are still as they were (``journal.kept``)."""
        ...

    async def rebuild(self) -> int:
        """Make every open run that nobody owns due now, so that its language derives its timers and tasks again."""
        ...

    async def purge(self, namespace: str, closed_before: int, limit: int = 1000) -> int:
        """Remove closed runs whose retention has ended, with all that belongs to them; how many."""
        ...

    async def list_closed(
        self, namespace: str, status: Status, closed_before: int, limit: int = 100
    ) -> list[ClosedRun]:
        """The longest closed runs of a status that may be removed: a registered subscriber has read all of them."""
        ...

    async def remove_runs(self, seen: Sequence[ClosedRun]) -> list[str]:
        """Remove those of these runs that are still as they were seen, with all that belongs to them; their run ids.

        One that was reopened stays, whatever has become of it since; and so does one with events that a registered
        subscriber has not read.
        """
        ...

    async def import_run(self, loaded: Loaded, audit: Sequence[AuditLine] = ()) -> None:
        """Take in a closed run from elsewhere, whole: with its ids, times and version. Its events get new positions.

        Raises ``AlreadyStarted`` if its run id is there, or a run of its workflow id that is open or was started after
        it; ``InvalidInput`` for one that is not closed or not whole, ``TooLarge``, ``AttributeRefused``.
        """
        ...
