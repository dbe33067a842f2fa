"""Words: what clients and servers say to each other of the port, as JSON. Bytes are base64 there.

Each word is one method of the port, by its name. What a client may not do cannot be said: a ``Change`` is a ``Commit``
without epochs, tokens, leases, tasks and deeds. Fields may be added; what exists keeps its meaning, and who knows less
leaves out what is new. ``PROTOCOL`` grows where that is not enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from keepstep.journal.attribute import Attribute
from keepstep.journal.backlog import Backlog
from keepstep.journal.commit import Commit, Committed, NewRun, Started
from keepstep.journal.definition import Definition
from keepstep.journal.errors import InvalidInput
from keepstep.journal.event import Event, NewEvent
from keepstep.journal.field import Field, Value
from keepstep.journal.flow import Stretch, Window
from keepstep.journal.lease import LeaseState
from keepstep.journal.message import Message, NewMessage, Sent
from keepstep.journal.port import AuditLine
from keepstep.journal.queue import Place as PlaceInQueue
from keepstep.journal.queue import QueueState
from keepstep.journal.run import Condition, Run, Status
from keepstep.journal.search import Page, Place, Predicate, Search

PROTOCOL = 1

PAGE_MAX = 5_000
"""Of whatever comes in pages: more are asked for by another call."""

ASK_SECONDS_MAX = 60.0
"""So long one asking of a question may wait for its answer."""

RUNS_NAMED_MAX = 5_000
"""Of which one call may ask."""


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has to know of a server first."""

    protocol: int
    version: str
    """Of the server's Keepstep."""
    now: int
    """Engine time, in microseconds."""
    value_bytes_max: int
    """What one value may have where the server seals it."""


# what is asked


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There is nothing to be said."""


class RunIs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which run."""

    run_id: str


class RunsAre(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which runs."""

    run_ids: list[str]


class FindRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest run of a workflow id."""

    namespace: str
    workflow_id: str


class InNamespace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which namespace: that of the call, or one of the rooms beside it."""

    namespace: str


class Behind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last run of the page before."""

    started_at: int
    run_id: str


class ListRuns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Runs, the newest first."""

    namespace: str
    statuses: list[Status] = []
    conditions: list[Condition] = []
    types: list[str] = []
    before: Behind | None = None
    limit: int = 100


class SearchRuns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the runs that fit."""

    namespace: str
    search: Search = Search()
    after: Place | None = None
    limit: int = 100


class CountFound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many runs fit."""

    namespace: str
    where: Predicate


class CountGroups(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of the runs that fit have each value of a field."""

    namespace: str
    where: Predicate
    field: Field
    groups_max: int


class ReadFlow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many runs began and ended in each stretch of a window."""

    namespace: str
    window: Window


class ReadEvents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of a history."""

    run_id: str
    after_seq: int = 0
    limit: int = 1000


class ReadState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is remembered of a run outside of its history; of one kind, or all."""

    run_id: str
    kind: str | None = None


class LastState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last one of the page before."""

    run_id: str
    key: str


class ListState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """State of one kind of all open runs, in the order of run ids and keys."""

    namespace: str
    kind: str
    after: LastState | None = None
    limit: int = 100


class AskRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question to a run."""

    run_id: str
    name: str
    data: bytes
    timeout_seconds: float


class CommitIs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which commit."""

    commit_id: str


class StartRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run to be started."""

    new: NewRun


class SendMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something to be said to a run."""

    message: NewMessage


class RegisterAttributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attributes that are to have a type."""

    named: list[Attribute]


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A change of a run by somebody who does not own it: what a ``Commit`` of a client consists of."""

    run_id: str
    version: int
    id: str
    inbox_seen: int | None = None
    events: tuple[NewEvent, ...] = ()
    send: tuple[NewMessage, ...] = ()
    start: tuple[NewRun, ...] = ()
    status: Status | None = None
    condition: Condition | None = None
    detail: bytes | None = None
    wake_at: int | None = None
    seize: bool = False
    clear_strikes: bool = False
    audit: str | None = None

    @classmethod
    def of(cls, commit: Commit, id: str) -> Change:
        """What a commit says. Raises ``InvalidInput`` for what no client may do."""
        given = {name: getattr(commit, name) for name in commit.__struct_fields__}
        unsaid = sorted(name for name, value in given.items() if name not in _SAID and value != _DEFAULTS[name])
        if unsaid or commit.version is None:
            raise InvalidInput(f"a client of a server cannot change {', '.join(unsaid) or 'a run'} as its owner does")
        return cls(**{name: value for name, value in given.items() if name in _SAID} | {"id": id})

    def as_commit(self) -> Commit:
        """It as the port takes it."""
        return Commit(**{name: getattr(self, name) for name in self.__struct_fields__})


_SAID = frozenset(Change.__struct_fields__)
_DEFAULTS: Mapping[str, Any] = {
    name: getattr(Commit(run_id=""), name) for name in Commit.__struct_fields__ if name != "run_id"
}


# what is answered


class FoundRun(msgspec.Struct, frozen=True):
    """A run, or null."""

    run: Run | None


class FoundRuns(msgspec.Struct, frozen=True):
    """Runs, in the order asked for."""

    runs: list[Run]


class Ending(msgspec.Struct, frozen=True):
    """The last event of a run."""

    run_id: str
    event: Event


class FoundPage(msgspec.Struct, frozen=True):
    """Runs, and where to go on."""

    page: Page
    endings: list[Ending] = []
    """Of those that ended with an error, as far as there is room: whoever lists runs asks for these next."""


class Counted(msgspec.Struct, frozen=True):
    """How many."""

    count: int


class ValueGroup(msgspec.Struct, frozen=True):
    """How many runs have a value; null stands for those that have none."""

    value: Value | None
    count: int


class Grouped(msgspec.Struct, frozen=True):
    """The most first."""

    groups: list[ValueGroup]


class FoundAttributes(msgspec.Struct, frozen=True):
    """By name."""

    attributes: list[Attribute]


class FoundDefinitions(msgspec.Struct, frozen=True):
    """What workers have published."""

    definitions: list[Definition]


class FoundLeases(msgspec.Struct, frozen=True):
    """Workers that have not said goodbye."""

    leases: list[LeaseState]


class FoundQueues(msgspec.Struct, frozen=True):
    """Queues of which something is kept."""

    queues: list[QueueState]


class FoundBacklogs(msgspec.Struct, frozen=True):
    """What waits on queues."""

    backlogs: list[Backlog]


class FoundFlow(msgspec.Struct, frozen=True):
    """What happened in each stretch, in the order of time."""

    stretches: list[Stretch]


class FoundPlace(msgspec.Struct, frozen=True):
    """Where a run waits, or null."""

    place: PlaceInQueue | None


class FoundEvents(msgspec.Struct, frozen=True):
    """In the order of their seqs."""

    events: list[Event]
    is_cut: bool = False
    """There are more up to the limit, for which there was no room."""


class FoundMessages(msgspec.Struct, frozen=True):
    """In the order of their arrival."""

    messages: list[Message]


class Remembered(msgspec.Struct, frozen=True):
    """One piece of state."""

    run_id: str
    kind: str
    key: str
    data: bytes


class FoundState(msgspec.Struct, frozen=True):
    """By run id, kind and key."""

    state: list[Remembered]


class FoundAudit(msgspec.Struct, frozen=True):
    """What operators did."""

    lines: list[AuditLine]


class Answered(msgspec.Struct, frozen=True):
    """What was answered; null if nobody has in time."""

    data: bytes | None


class Known(msgspec.Struct, frozen=True):
    """Whether that happened."""

    is_known: bool


class HasStarted(msgspec.Struct, frozen=True):
    """What came of a start."""

    started: Started


class HasCommitted(msgspec.Struct, frozen=True):
    """What came of a change."""

    committed: Committed


class HasSent(msgspec.Struct, frozen=True):
    """What became of a message."""

    sent: Sent


class Done(msgspec.Struct, frozen=True):
    """It is so."""

    done: bool = True
