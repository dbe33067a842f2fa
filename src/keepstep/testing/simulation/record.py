"""Record: what happened in a simulation, told by those outside of the engine. The checkers judge by it alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from keepstep.journal import Commit, Committed, Loaded, LogEntry

from .features import Feature


@dataclass(slots=True)
class Execution:
    """A step that really ran: the outside world saw it begin, and perhaps end."""

    number: int
    run_id: str
    key: str
    name: str
    attempt: int
    process: int
    began: int
    premise: str
    """The receipt of the step before, which the caller passed on."""
    saga: str
    """The saga it belongs to, or ""."""
    ended: int | None = None
    receipt: str | None = None
    """What it returned; None if it failed or never came back."""
    is_said: bool = field(default=False, repr=False)
    """It has written its number to a stream of its run, and was told that this is durable."""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """What the call carried."""
    told: int | None = field(default=None, repr=False)
    """Of a step whose end is waited for: when it heard that it is to end."""


@dataclass(slots=True)
class Start:
    """A start that a client asked for."""

    workflow_id: str
    type: str
    program: Any
    is_acknowledged: bool = False
    run_id: str | None = None
    is_to_be_ended: bool = False
    """Somebody has asked to cancel or to terminate it."""
    options: dict[str, Any] = field(default_factory=dict)
    """Whatever else the start says: a queue, a key, a priority, a delay."""
    asked: int | None = None
    """When it was asked for first, and (``acknowledged``) when that was answered first."""
    acknowledged: int | None = None
    told: Any = None
    """Of a program with chapters: what its first run's result was said to be."""


@dataclass(slots=True)
class Signal:
    """A signal that a client sent, under an id of its own, as often as it took to get an answer."""

    workflow_id: str
    name: str
    id: str
    is_acknowledged: bool = False


@dataclass(slots=True)
class Change:
    """An update that a client asked for, under an id of its own, as often as it took to get an answer."""

    workflow_id: str
    name: str
    id: str
    answer: str = ""
    """What the client was told: ``value``, ``failed``, ``rejected`` or ``closed``; "" if it was told nothing."""
    value: str = ""


@dataclass(slots=True)
class Answer:
    """A query's answer: the changes that the run had made, and those that its asker knew of before."""

    workflow_id: str
    changes: list[str]
    known: list[str]


@dataclass(slots=True)
class Deed:
    """What a planner has done to a schedule, as often as it took to get an answer: so it has happened in between."""

    kind: str
    """``pause``, ``resume``, ``trigger``, ``backfill``, ``update``, ``policy`` or ``delete``."""
    asked: int
    told: int | None = None
    """When it was answered; None if it never was."""
    run: str = ""
    """Workflow id of what a trigger starts."""
    first: int = 0
    last: int = 0
    """From when until when a backfill goes."""
    overlap: str = ""
    """Of a trigger or backfill."""
    every: int = 0
    offset: int = 0
    """What an update changes."""
    policy: str = ""
    """The overlap that the calendar's firings have from then on."""


@dataclass(slots=True)
class Planned:
    """A schedule that a planner has made. Times and lengths in microseconds."""

    id: str
    words: dict[str, Any]
    """As the engine was told them; the numbers say the same to the checker."""
    every: int
    offset: int
    jitter: int
    end: int
    catchup: int
    overlap: str
    workflow: str
    program: Any
    is_paused: bool = False
    """From the beginning."""
    limit: int | None = None
    life: int = 1
    """Counts the schedules of its name; the one before was deleted before this one was asked for."""
    deeds: list[Deed] = field(default_factory=list)


@dataclass(slots=True)
class Hearing:
    """What somebody has heard who read a stream of a run while it went on, again and again from where they were."""

    workflow_id: str
    run_id: str
    stream: str
    heard: list[tuple[int, Any]] = field(default_factory=list)
    """Positions and values."""
    is_over: bool = False
    """The stream has ended for them."""


@dataclass(slots=True)
class Acknowledged:
    """A commit that the journal has confirmed to its writer."""

    commit: Commit
    outcome: Committed
    process: int
    time: int


@dataclass(slots=True)
class Handout:
    """The store has handed out a step of a queue, or admitted a run, at some moment between two. In microseconds."""

    queue: str
    run_id: str
    key: str
    """Of the step; "" for a run."""
    asked: int
    """When the process asked for work."""
    told: int
    """When the store had done it."""
    process: int


@dataclass(slots=True)
class QueuePause:
    """A queue was paused at the latest from one moment on, and until another one at least."""

    queue: str
    paused: int
    resumed: int | None = None


NONSENSE = "no number"
"""What no person should be able to answer."""


@dataclass(slots=True)
class PersonsAnswer:
    """What somebody has said to a task for people."""

    token: str
    value: int | str
    """Nonsense is text."""
    asked: int
    told: int | None = None
    """When it was acknowledged; None if it never was."""
    is_refused: bool = False


@dataclass(slots=True)
class BulkCancel:
    """Somebody has cancelled several runs by one word, as often as it took to get an answer."""

    id: str
    targets: list[str]
    """Workflow ids."""
    asked: int
    told: int | None = None
    refused: int = 0


@dataclass(slots=True)
class RunPause:
    """Somebody has paused a run, and had it go on a while later."""

    workflow_id: str
    run_id: str = ""
    """Of the run that was seen."""
    seen: int | None = None
    """When it was seen to stand still; None if it never was."""
    resumed: int = 0
    """When it was asked to go on, and (``told``) when that was answered."""
    told: int | None = None
    is_found: bool = False
    """Somebody found it paused after all that."""


@dataclass(slots=True)
class KeepRule:
    """For how long, in microseconds, runs that were closed with a status are kept, as somebody has asked for it."""

    status: str
    """Or ``all``."""
    keep: int
    asked: int
    told: int | None = None


@dataclass(slots=True)
class Sweep:
    """Somebody had the rules carried out, and was told that this is done."""

    asked: int
    told: int
    left: dict[str, str]


@dataclass(slots=True)
class Look:
    """The runs that somebody has found."""

    asked: int
    told: int
    there: frozenset[str]


@dataclass(slots=True)
class Record:
    """See the module's docstring."""

    features: frozenset[Feature] = frozenset()
    """What the story has beside the rest."""
    starts: dict[str, Start] = field(default_factory=dict)
    signals: list[Signal] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    hearings: list[Hearing] = field(default_factory=list)
    planned: dict[str, list[Planned]] = field(default_factory=dict)
    """By id, in the order in which they were made."""
    executions: list[Execution] = field(default_factory=list)
    contradicted: bool = False
    """A process has had code that contradicts what other processes do."""
    acknowledged: list[Acknowledged] = field(default_factory=list)
    log: list[LogEntry] = field(default_factory=list)
    """The events as a subscriber read them while things happened."""
    faults: Counter[str] = field(default_factory=Counter)
    handouts: list[Handout] = field(default_factory=list)
    """In the order in which the store told of them."""
    queue_pauses: list[QueuePause] = field(default_factory=list)
    persons_answers: list[PersonsAnswer] = field(default_factory=list)
    bulks: list[BulkCancel] = field(default_factory=list)
    run_pauses: list[RunPause] = field(default_factory=list)
    rules: list[KeepRule] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    archive: str = "nowhere"
    """The folder in which runs are archived, whose name is another one each time."""
    archived: list[dict[str, Any]] | None = None
    """The lines of the archive; None where nothing is to be archived."""
    disturbances: dict[int, list[int]] = field(default_factory=dict)
    """When something bad happened to each process: only that excuses a step that was done twice."""
    operator: list[str] = field(default_factory=list)
    """What a person had to do to let runs go on."""
    runs: dict[str, Loaded] = field(default_factory=dict)
    """All runs as they stand at the end, or stood before they were removed."""
    schedules: dict[str, Loaded] = field(default_factory=dict)
    """The runs of the journal that are schedules, or rules of retention, as they stand at the end."""
    effects: list[tuple[str, str, str]] = field(default_factory=list)
    """What transactional steps have left in their table at the end: run id, key and receipt."""
    leases_left: int = 0
    seconds: float = 0.0
    """Virtual time that went by."""

    def chains(self) -> dict[str, list[Loaded]]:
        """The runs of each workflow id, in the order in which they began; those that continue others follow them."""
        chains: dict[str, list[Loaded]] = {}
        for loaded in sorted(self.runs.values(), key=lambda each: each.run.run_id):
            chains.setdefault(loaded.run.workflow_id, []).append(loaded)
        return chains

    def plan(self, planned: Planned) -> None:
        """Somebody is about to make a schedule."""
        self.planned.setdefault(planned.id, []).append(planned)

    def disturb(self, process: int, now: int) -> None:
        self.disturbances.setdefault(process, []).append(now)
