"""Queue: where runs and steps wait for whoever serves it, and the limits under which they are handed out.

A queue that nobody has said anything about has no row and no limits. One that is declared in code, or changed by an
operator, has one row. What is handed out under limits holds a *slot*: a task while a lease holds it, a run from its
admission until it closes, asleep or awake. Slots are not counted anywhere: they are the rows that hold them, so that
what a dead owner held is free as soon as its lease is ended.

A run that waits for its admission has a *ticket*: a task of kind ``TICKET``, which lies on the queue among the steps'
tasks and is handed out by the same rules. While it waits the run has the condition ``queued`` and nobody is offered it.
Once admitted, the ticket is held by the run itself and goes when the run closes.
"""

from __future__ import annotations

import msgspec

from .run import Run
from .task import NewTask, Task

TICKET = "run"
"""Kind of the task by which a run waits on a queue, and then holds its slot. Its key says who may take the run."""

ANY_TYPE = "*"
"""Among the keys of tickets that a claim asks for: each that is its run's type, whatever that is."""

HELD_BY_RUN = 0
"""Owner of a ticket whose run was admitted. No lease has this number."""

WEIGHT_MAX = 1000


class Rate(msgspec.Struct, frozen=True):
    """At most so many hand-outs in any stretch of engine time of so many microseconds."""

    count: int
    microseconds: int


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is handed out at most. None is without a limit."""

    concurrency: int | None = None
    """Slots held at once, by anybody."""
    per_worker: int | None = None
    """Tasks held, and runs of the queue owned, by one worker at which it takes no more."""
    per_key: int | None = None
    """Slots held at once by what has the same fairness key. What has none counts as one key, too."""
    rate: Rate | None = None
    rate_per_key: Rate | None = None
    """Of what has the same fairness key, likewise."""
    weights: dict[str, int] = {}
    """How many turns a fairness key gets where others get one."""

    def holds_runs_back(self) -> bool:
        """Whether a run may have to wait for its admission."""
        limits = (self.concurrency, self.per_worker, self.per_key, self.rate, self.rate_per_key)
        return any(each is not None for each in limits)


class Queue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A queue as it is kept: what code has declared, and what an operator has put above it."""

    name: str
    declared: Limits = Limits()
    declared_at: int = 0
    """0 if no code has."""
    override: Limits = Limits()
    overridden: tuple[str, ...] = ()
    """Names of the limits that ``override`` decides."""
    is_paused: bool = False

    @property
    def limits(self) -> Limits:
        """What holds."""
        return msgspec.structs.replace(
            self.declared, **{name: getattr(self.override, name) for name in self.overridden}
        )

    def changed(self, change: QueueChange) -> Queue:
        """As it is after an operator has said that."""
        named = set(self.overridden) - set(change.withdrawn) | set(change.overridden)
        values = {name: getattr(change.override, name) for name in change.overridden}
        return msgspec.structs.replace(
            self,
            override=msgspec.structs.replace(self.override, **values),
            overridden=tuple(sorted(named)),
            is_paused=self.is_paused if change.is_paused is None else change.is_paused,
        )

    def holds_runs_back(self) -> bool:
        """Whether runs that are started on it get a ticket."""
        return self.is_paused or self.limits.holds_runs_back()


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as some code has it."""

    name: str
    limits: Limits


class QueueChange(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator changes of a queue. ``override`` counts for the limits named."""

    name: str
    override: Limits = Limits()
    overridden: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    """Limits for which what code has declared counts again."""
    is_paused: bool | None = None


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """A queue, and how much is on it."""

    queue: Queue
    waiting: int
    """Tasks and runs that wait, those that are not to begin yet included."""
    held: int


class Ticket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run waits on a queue."""

    queue: str
    key: str
    """Who may take the run: the workflow's name, or the queue on which a version of it is offered."""
    priority: int = 0
    """Higher goes first, as for tasks."""
    fairness_key: str = ""
    not_before: int = 0
    is_asked_for: bool = False
    """Whether the run waits even where the queue has no limits: it has a priority, a key or a delay."""

    def as_task(self) -> NewTask:
        """The task by which the run waits, and then holds its slot."""
        return NewTask(
            kind=TICKET,
            key=self.key,
            queue=self.queue,
            priority=self.priority,
            fairness_key=self.fairness_key,
            visible_at=self.not_before,
        )


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where on its queue a run waits."""

    queue: str
    before: int
    """How many go first, as far as they were counted."""
    not_before: int
    fairness_key: str
    holder: str | None
    """The workflow id of one that holds a slot of its key, where its key has no more."""
    is_paused: bool
    priority: int = 0
    """As its ticket has it: higher goes first."""


def place_of(queue: Queue, waits: Ticket, before: int, key_slots_held: int, holder: str | None) -> Place:
    """Where a run waits. ``holder`` keeps it waiting if its key may hold no more slots."""
    per_key = queue.limits.per_key
    return Place(
        queue=waits.queue,
        before=before,
        not_before=waits.not_before,
        fairness_key=waits.fairness_key,
        holder=holder if per_key is not None and key_slots_held >= per_key else None,
        is_paused=queue.is_paused,
        priority=waits.priority,
    )


PLACES_COUNTED_MAX = 1000
"""No more are counted that go before a run."""


class Claimed(msgspec.Struct, frozen=True):
    """What a claim of work has brought: tasks held, and runs admitted and owned, by the lease."""

    tasks: list[Task] = []
    runs: list[Run] = []
    again_at: int | None = None
    """Engine time at which there may be more, without news."""
