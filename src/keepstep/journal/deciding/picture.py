"""Picture: what the writer knows of the database, and what one flush is about to change in it.

A flush would be slow if each of its operations asked the database and wrote to it: SQLite lets go of the interpreter
lock at every single step of a statement, and a server is a round trip away. So a flush

1. asks for all that its operations will want to know, in a handful of statements (``prefetch``),
2. lets each operation decide on this picture in memory, one after another, and draw its changes into it,
3. writes all changes by a handful of multi-row statements (``write``).

Invariants:

* A head that is in the picture is true: it stands for the database as it will be once the drawn changes are written.
  What an operation needs and was not prefetched is fetched at that moment, drawn changes taken into account, so that
  prefetching is only a matter of speed.
* An operation that refuses has drawn nothing.
* Nothing is trusted beyond a transaction in which another process may have written (``Tables.begin``) or which
  failed. Between flushes only heads of owned runs are kept: their owners are the ones who commit again and again.
* Positions and arrival numbers are given out inside the transaction, under what keeps others from it (``Tables``), so
  that those of one run follow commit order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from keepstep.journal import limits
from keepstep.journal.deed import Deed
from keepstep.journal.errors import DeedFailed, NotFound, Overloaded, TooLarge, Unsupported
from keepstep.journal.event import NewEvent
from keepstep.journal.field import Value
from keepstep.journal.hint import HintKind
from keepstep.journal.line import AT_ONCE, at_once
from keepstep.journal.message import Message, NewMessage, Sent
from keepstep.journal.timer import Timer

from .codes import PARKED, UNOFFERED
from .drawing import Drawing
from .head import Head
from .news import News
from .tables import Tables

SOON_MICROSECONDS = 2_000_000
"""Of a run that is due so soon, processes are told at once: they poll no more often."""

HEADS_KEPT_MAX = 100_000

Perform = Callable[[Deed], AbstractContextManager[Sequence[NewEvent]]]
"""Does a caller's own work in the transaction: the events that record it. What is raised within undoes it."""

SUM_HISTORY_EVERY_EVENTS = 4096
SUM_HISTORY_ABOVE_BYTES = 64 * 1024
"""A history's bytes are added up when it passes a multiple of this many events and before each large event, so that
the limit costs nothing per step. It can be overshot by 4,096 events of 64 KiB."""


class Wants:
    """What the operations of a flush will want to know."""

    __slots__ = ("arrivals", "inboxes", "message_ids", "queues", "run_ids", "starts", "tasks", "workflows")

    def __init__(self) -> None:
        self.run_ids: set[str] = set()
        self.workflows: set[tuple[str, str]] = set()
        self.inboxes: set[str] = set()
        """Run ids whose unconsumed messages matter."""
        self.message_ids: list[NewMessage] = []
        self.tasks: list[int] = []
        """Tasks that must be held."""
        self.queues: set[str] = set()
        """Queues on which runs may be started."""
        self.starts = 0
        """Runs that may be started."""
        self.arrivals = 0
        """Messages that may arrive."""

    def message(self, message: NewMessage) -> None:
        self.arrivals += 1
        if message.run_id is not None:
            self.run_ids.add(message.run_id)
        elif message.namespace is not None and message.workflow_id is not None:
            self.workflows.add((message.namespace, message.workflow_id))
        if message.id is not None:
            self.message_ids.append(message)


class Picture:
    """See the module."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.heads: dict[str, Head] = {}
        self.now = 0
        self.news = News()
        self._forget_answers()
        self.drawing = Drawing()
        self.perform: Perform = _refuse_deed

    # -- knowing

    def begin(self, now: int) -> None:
        """Start a flush, inside its transaction."""
        self.now = now
        self.news = News()
        if self.tables.begin():
            self._forget_all()

    def forget(self) -> None:
        """Trust nothing any more: the transaction failed, or something was written behind the picture."""
        self.tables.forget()
        self._forget_all()

    def _forget_all(self) -> None:
        self.heads.clear()
        self._forget_answers()
        self.drawing = Drawing()

    def refresh(self) -> None:
        """Read again what a statement has changed directly. Everything drawn must have been written."""
        self.heads.clear()
        self._forget_answers()

    def drop(self, head: Head) -> None:
        """The run is gone. Others stay as they are known: their owners go on meanwhile."""
        self.heads.pop(head.run_id, None)
        self._newest.pop((head.namespace, head.workflow_id), None)

    def end(self) -> None:
        """The flush is over: keep what will be wanted again."""
        self._forget_answers()
        if len(self.heads) > HEADS_KEPT_MAX:
            self.heads.clear()
        elif self._cold:
            for head in self._cold:
                if head.owner is None:
                    self.heads.pop(head.run_id, None)
            self._cold.clear()

    def _forget_answers(self) -> None:
        self._newest: dict[tuple[str, str], str | None] = {}
        self._inboxes: dict[int, dict[int, bool]] = {}
        self._received: dict[tuple[int, str], int | None] = {}
        self._leases: dict[str, int | None] = {}
        self._cold: list[Head] = []
        self._absent: set[str] = set()
        """Run ids that were looked for and are not there."""

    def prefetch(self, wants: Wants) -> None:
        self.tables.prepare(wants)
        if wants.workflows:
            self._fetch_newest(wants.workflows)
            wants.run_ids.update(run_id for run_id in self._newest.values() if run_id is not None)
        missing = sorted(wants.run_ids.difference(self.heads)) if wants.run_ids else ()
        if missing:
            self._fetch_heads(missing)
        if wants.inboxes:
            heads = [self.heads[run_id] for run_id in wants.inboxes if run_id in self.heads]
            self._fetch_inboxes([head for head in heads if head.inbox_size])
            for head in heads:
                self._inboxes.setdefault(head.run, {})
        if wants.message_ids:
            self._fetch_received(wants.message_ids)

    def _fetch_heads(self, run_ids: Sequence[str]) -> None:
        self._absent.update(run_ids)
        for row in self.tables.fetch_heads(run_ids):
            head = Head(row)
            self.heads[head.run_id] = head
            self._cold.append(head)
            self._absent.discard(head.run_id)

    def _fetch_newest(self, workflows: Iterable[tuple[str, str]]) -> None:
        for namespace, workflow_id, run_id in self.tables.fetch_newest(list(workflows)):
            self._newest[namespace, workflow_id] = run_id

    def _fetch_inboxes(self, heads: Sequence[Head]) -> None:
        if not heads:
            return
        for head in heads:
            self._inboxes[head.run] = {}
        for run, n, wakes in self.tables.fetch_inboxes([head.run for head in heads]):
            self._inboxes[run][n] = bool(wakes)

    def _fetch_received(self, messages: Iterable[NewMessage]) -> None:
        keys = []
        for message in messages:
            head = self.target(message)
            if head is not None and message.id is not None and (head.run, message.id) not in self._received:
                self._received[head.run, message.id] = None
                keys.append((head.run, message.id))
        if keys:
            for run, message_id, n in self.tables.fetch_received(keys):
                self._received[run, message_id] = n

    def find(self, run_id: str) -> Head | None:
        head = self.heads.get(run_id)
        if head is None and run_id not in self._absent:
            self._fetch_heads([run_id])
            head = self.heads.get(run_id)
        return head

    def head(self, run_id: str) -> Head:
        head = self.find(run_id)
        if head is None:
            raise NotFound(f"there is no run {run_id}")
        return head

    def newest(self, namespace: str, workflow_id: str) -> Head | None:
        """The open run of a workflow id, or else the newest closed one."""
        name = (namespace, workflow_id)
        if name not in self._newest:
            self.write()
            self._fetch_newest([name])
        run_id = self._newest[name]
        return None if run_id is None else self.find(run_id)

    def target(self, message: NewMessage) -> Head | None:
        """The run that a message is addressed to."""
        if message.run_id is not None:
            found = self.find(message.run_id)
            return found if found is None or message.namespace in (None, found.namespace) else None
        return self.newest(message.namespace or "", message.workflow_id or "")

    def inbox(self, head: Head) -> dict[int, bool]:
        """Arrival numbers of the unconsumed messages, and whether each wakes."""
        inbox = self._inboxes.get(head.run)
        if inbox is None:
            self._inboxes[head.run] = inbox = {}
            if head.inbox_size:
                self._fetch_inboxes([head])
                inbox = self._inboxes[head.run]
                inbox.update(self.drawing.arrivals(head.run))
                for run, n in self.drawing.consumed:
                    if run == head.run:
                        inbox.pop(n, None)
        return inbox

    def lease(self, lease_id: str) -> int | None:
        """The number of an open lease."""
        if lease_id not in self._leases:
            found = self.tables.find_lease(lease_id)
            self._leases[lease_id] = None if found is None else found[0]
        return self._leases[lease_id]

    # -- drawing

    def create(self, run_id: str, head: Head) -> None:
        self.heads[run_id] = head
        self._absent.discard(run_id)
        self.drawing.created.append(head)
        self._cold.append(head)
        self._newest[head.namespace, head.workflow_id] = run_id
        self._inboxes[head.run] = {}

    def change_newest(self, head: Head) -> None:
        """The run was closed or reopened: another one of its workflow id may be the newest now.

        The youngest need not be it: a run that is reopened may have younger ones, which are closed.
        """
        if head.is_open():
            self._newest[head.namespace, head.workflow_id] = head.run_id
        else:
            self._newest.pop((head.namespace, head.workflow_id), None)

    def change(self, head: Head) -> None:
        """The run's row must be written."""
        if not head.dirty:
            head.dirty = True
            if head.created is None:
                self.drawing.changed.append(head)

    def bump(self, head: Head) -> None:
        """A commit without events: only the version moves."""
        head.bumps += 1
        self.drawing.bumped[head.run_id] = head

    def append(self, head: Head, events: Iterable[NewEvent]) -> None:
        tables, drawing = self.tables, self.drawing
        n, seq, run, values = tables.last_n, head.last_seq, head.run, drawing.events
        for event in events:
            n += 1
            seq += 1
            values += (n, run, seq, event.type, event.time, event.key, event.data)
        tables.last_n, head.last_seq = n, seq
        drawing.moved[head.run_id] = head

    def check_growth(self, head: Head, events: Sequence[NewEvent]) -> None:
        """Raises ``TooLarge`` if a history would pass its limits."""
        last_seq = head.last_seq + len(events)
        size = sum([len(event.data) for event in events])
        if last_seq > limits.HISTORY_EVENTS_MAX:
            raise TooLarge(
                f"the history of {head.workflow_id!r} would have {last_seq} events, more than "
                f"{limits.HISTORY_EVENTS_MAX}; continue as new"
            )
        crosses = last_seq // SUM_HISTORY_EVERY_EVENTS > head.last_seq // SUM_HISTORY_EVERY_EVENTS
        if not crosses and size < SUM_HISTORY_ABOVE_BYTES:
            return
        written = self.tables.history_bytes(head.run)
        drawn = self.drawing.event_bytes(head.run)
        if written + drawn + size > limits.HISTORY_BYTES_MAX:
            raise TooLarge(
                f"the history of {head.workflow_id!r} would have {written + drawn + size} bytes, more than "
                f"{limits.HISTORY_BYTES_MAX}; continue as new"
            )

    def check_inbox(self, head: Head, arriving: int = 1) -> None:
        if head.inbox_size + arriving > limits.INBOX_MESSAGES_MAX:
            raise Overloaded(
                f"the inbox of {head.workflow_id!r} is full ({limits.INBOX_MESSAGES_MAX} messages); try again later"
            )

    def deliver(self, head: Head, message: NewMessage) -> Sent:
        """Put a message into an open run's inbox and wake the run, unless it is a duplicate."""
        if message.id is not None:
            known = self._known_message(head, message.id)
            if known is not None:
                return Sent(head.run_id, known, True)
        n = self.tables.next_arrival()
        self.drawing.moved[head.run_id] = head
        self.drawing.messages += (
            n, head.run, message.kind, message.name, message.data, self.now, message.id, int(message.wakes)
        )  # fmt: skip
        if message.id is not None:
            self._received[head.run, message.id] = n
            self.drawing.received += (head.run, message.id, n)
        head.inbox_size += 1
        inbox = self._inboxes.get(head.run)
        if inbox is not None:
            inbox[n] = message.wakes
        if head.owner is not None:
            self.news.tell(HintKind.INBOX, head.run_id)
        elif message.wakes and head.condition not in PARKED:
            self.wake(head, AT_ONCE)
        return Sent(head.run_id, n, False)

    def keep_message(self, head: Head, message: Message) -> None:
        """Put a message into the inbox of a closed run, which it had reached in time."""
        n = self.tables.next_arrival()
        self.drawing.messages += (
            n, head.run, message.kind, message.name, message.data, message.time, message.id, 1
        )  # fmt: skip
        if message.id is not None:
            self._received[head.run, message.id] = n
            self.drawing.received += (head.run, message.id, n)
        head.inbox_size += 1
        self._inboxes[head.run][n] = True
        self.drawing.moved[head.run_id] = head

    def _known_message(self, head: Head, message_id: str) -> int | None:
        if (head.run, message_id) not in self._received:
            self._received[head.run, message_id] = None
            for run, known_id, n in self.tables.fetch_received([(head.run, message_id)]):
                self._received[run, known_id] = n
        return self._received[head.run, message_id]

    def consume(self, head: Head, numbers: Sequence[int]) -> None:
        inbox = self._inboxes[head.run]
        for n in numbers:
            del inbox[n]
        head.inbox_size -= len(numbers)
        self.drawing.consumed += [(head.run, n) for n in numbers]
        self.drawing.moved[head.run_id] = head

    def set_state(self, head: Head, kind: str, key: str, data: bytes | None) -> None:
        self.drawing.state[head.run, kind, key] = data

    def index_attributes(self, head: Head, values: Mapping[str, tuple[Value, ...]]) -> None:
        """What a run is searched by; without values, not by this attribute any more."""
        for name, found in values.items():
            self.drawing.attributes[head.run, name] = head, found

    def set_timers(self, head: Head, timers: tuple[Timer, ...]) -> None:
        if head.timer_at is not None:
            self.drawing.cleared_timers[head.run] = None
        self.drawing.timers[head.run] = timers
        self.drawing.moved[head.run_id] = head
        head.timer_at = min((timer.fire_at for timer in timers), default=None)

    def clear_tasks(self, head: Head) -> None:
        if head.has_tasks:
            self.drawing.cleared_tasks.append(head.run)
            self.drawing.moved[head.run_id] = head
            head.has_tasks = False

    def wake(self, head: Head, wake_at: int | None) -> None:
        """Set when a run without an owner next wants a decider. Who polls may hear of it too late if it is soon."""
        if wake_at == AT_ONCE:
            was_due = head.wake_at is not None and head.wake_at <= self.now
            wake_at = head.wake_at if was_due else at_once(self.now)
        if head.wake_at != wake_at:
            head.wake_at = wake_at
            self.change(head)
        if wake_at is not None and wake_at <= self.now + SOON_MICROSECONDS and head.condition not in UNOFFERED:
            self.news.tell(HintKind.READY, head.run_id)

    def next_wake(self, head: Head, *others: int | None) -> int | None:
        """When the run wants a decider by its inbox, its timers and the other times handed in."""
        if head.inbox_size and any(self.inbox(head).values()):
            return AT_ONCE
        return min((time for time in (head.timer_at, *others) if time is not None), default=None)

    # -- writing

    def write(self) -> None:
        """Write everything drawn so far. The picture stays true."""
        drawing, self.drawing = self.drawing, Drawing()
        self._cold += [head for head in drawing.changed if head.owner is None]
        self.tables.write(drawing)


def _refuse_deed(_: Deed) -> AbstractContextManager[Sequence[NewEvent]]:
    why = Unsupported("no work of the caller's own can be done in this transaction")
    raise DeedFailed(str(why)) from why
