"""Progress: what a run is doing or waiting for, since when, what failed, and what happens next, in sentences.

Pure: ``Surroundings`` holds what was read, ``progress`` makes words of it. A line that begins with two spaces belongs
to the one above it: a command to copy, or a part of a diff.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from keepstep.journal import Condition, Journal, LeaseState, Run, Status, is_surely_dead
from keepstep.runtime import history
from keepstep.runtime.blocked import Diff
from keepstep.worker.last_event import last_event
from keepstep.worker.words import Detail, Wait

from .info import RunInfo, moment


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What around a run decides how it goes on."""

    now: datetime
    owner: LeaseState | None = None
    """The living worker that has the run, if one has."""
    is_owned: bool = False
    """Whether a worker has it in the journal's books, be it alive or not."""
    wake_at: datetime | None = None
    timeout_at: datetime | None = None
    """When the run's own timeout is over."""
    unread: int = 0
    """Messages that no commit has consumed yet."""
    served_queues: frozenset[str] = frozenset()
    """Queues of living workers."""
    is_published: bool = True
    """Whether a worker has ever told that it has the run's workflow."""
    is_undone: bool = False
    """A failed run has compensated, and so cannot go on where it failed."""

    @classmethod
    async def of(cls, journal: Journal, info: RunInfo) -> Surroundings:
        """Read them from the journal."""
        living = [each for each in await journal.list_leases() if not is_surely_dead(each.lease.process)]
        run = await journal.read_run(info.run_id)
        owner = None if run is None else run.owner
        return cls(
            now=moment(journal.clock.now()),
            owner=next((each for each in living if each.lease.lease_id == owner), None),
            is_owned=owner is not None,
            wake_at=moment(run.wake_at) if run is not None and run.wake_at else None,
            timeout_at=None if run is None else await _timeout_of(journal, run),
            unread=len(await journal.read_messages(info.run_id)),
            served_queues=frozenset(queue for each in living for queue in each.lease.queues),
            is_published=any(
                each.kind == "workflow" and each.name == info.type
                for each in await journal.list_definitions(info.namespace)
            ),
            is_undone=run is not None and run.status is Status.FAILED and await _is_undone(journal, run),
        )


async def _is_undone(journal: Journal, run: Run) -> bool:
    closing = await last_event(journal, run)
    failed = history.known_of(closing.type, closing.data) if closing.type == history.WORKFLOW_FAILED else None
    return failed is not None and bool(failed.compensated)


async def _timeout_of(journal: Journal, run: Run) -> datetime | None:
    first = await journal.read_events(run.run_id, 0, 1)
    if not first or first[0].type != history.WORKFLOW_STARTED:
        return None
    started = history.known_of(first[0].type, first[0].data)
    seconds = None if started is None else started.timeout_seconds
    return None if seconds is None else moment(run.started_at) + timedelta(seconds=seconds)


def progress(info: RunInfo, around: Surroundings) -> list[str]:
    """Sentences, the most important first."""
    if info.status is not Status.RUNNING:
        return _closed(info, around)
    if info.error is not None and info.detail == Detail():  # why, or for what, it waits cannot be read here
        return [f"It is {info.condition or info.status}; {info.error}.", *_ownership(info, around)]
    said = _PARKED[info.condition](info) if info.condition in _PARKED else []
    for wait in info.waiting_for:
        said += _waiting(wait, info, around)
    if info.detail.more:
        said.append(f"It waits for {info.detail.more} more things beside these.")
    if not said:
        said.append(_unsaid(around))
    return [*said, *_ownership(info, around), *_prospects(info, around)]


TO_FILL_IN = ("JSON", "TEXT", "MODULE", "[JSON]", "[--input JSON]")
"""Words of a command that are for the reader to replace."""


def command(*words: str) -> str:
    """A line to copy. Whatever is not for the reader to fill in is quoted for the shell."""
    shown = [word if word in TO_FILL_IN else shlex.quote(word) for word in words]
    return "  keepstep " + " ".join(shown)


def _closed(info: RunInfo, around: Surroundings) -> list[str]:
    words = {
        Status.COMPLETED: "It completed.",
        Status.FAILED: f"It failed: {info.error}",
        Status.CANCELLED: f"It was {info.error or 'cancelled'}, and has undone what it had to.",
        Status.TIMED_OUT: "It reached its timeout, and has undone what it had to.",
        Status.TERMINATED: f"It was {info.error or 'terminated'}; nothing was undone.",
        Status.CONTINUED: "It goes on as a new run of the same id.",
    }
    said = [words[info.status]]
    if around.is_undone:
        anew = command("start", info.type, "[--input JSON]", "--id", info.id, "--if-closed", "restart")
        said += ["What it had done was undone.", f"{anew}   starts it anew"]
    elif info.status is Status.FAILED:
        said.append(f"{command('retry', info.id)}   lets it go on at the failed step, once the cause is mended")
    return said


def _blocked(info: RunInfo) -> list[str]:
    diff = msgspec.convert(info.detail.blocked or {"summary": "Its code does not fit its history."}, Diff)
    first, *rest = str(diff).splitlines()
    return [
        f"It is blocked: {first}",
        *rest,
        "Nothing was written. It goes on by itself when a worker has what is missing."
        if info.detail.is_sealed
        else "Nothing was written. It goes on by itself when a worker with fitting code starts.",
    ]


def _uncertain(info: RunInfo) -> list[str]:
    return ["A step may or may not have happened; somebody must say."]


def _compensating(info: RunInfo) -> list[str]:
    because = [f"  The reason: {info.detail.because}"] if info.detail.because else []
    if any(each.parked == "undo_exhausted" for each in info.waiting_for):
        again = f"{command('retry', info.id)}   tries it again"
        return ["It is undoing what it did, and an undo has failed.", again, *because]
    return ["It is undoing what it did.", *because]


def _paused(info: RunInfo) -> list[str]:
    return ["It is paused: it begins nothing, and what comes waits.", f"{command('resume', info.id)}   lets it go on"]


def _quarantined(info: RunInfo) -> list[str]:
    return [
        "It is quarantined: the workers that took it up died, again and again, before it made any progress.",
        f"{command('retry', info.id)}   lets it try again, once the cause is mended",
    ]


_PARKED: dict[Condition, Callable[[RunInfo], list[str]]] = {
    Condition.BLOCKED: _blocked,
    Condition.UNCERTAIN: _uncertain,
    Condition.COMPENSATING: _compensating,
    Condition.PAUSED: _paused,
    Condition.QUARANTINED: _quarantined,
}


_BEYOND_TIMEOUT = (Condition.BLOCKED, Condition.COMPENSATING, Condition.PAUSED, Condition.QUARANTINED)
"""Where the run's own timeout ends nothing: nobody runs its code, or it is undoing."""


def _unsaid(around: Surroundings) -> str:
    """The journal does not tell what the run waits for: it is just being advanced, or nobody has looked at it yet."""
    if around.owner is not None:
        return "It is being advanced right now."
    if around.is_owned:
        return "It was being advanced when its worker died."
    if around.wake_at is not None and around.wake_at > around.now:
        return f"It begins at {_at(around.wake_at)} ({_left(around.wake_at, around.now)})."
    return "It waits for a worker to take it up."


def _waiting(wait: Wait, info: RunInfo, around: Surroundings) -> list[str]:
    since = f", since {_at(moment(wait.since))}" if wait.since else ""
    match wait.kind:
        case "signal":
            return [f"It waits for the signal {wait.name!r}{since}.", command("signal", info.id, wait.name, "[JSON]")]
        case "timer":
            return [f"It waits for a timer{since}, until {_until(wait.until, around.now)}."]
        case "callback":
            return [f"It waits for the callback {wait.key!r}{since}.", command("complete", wait.token, "[JSON]")]
        case "human_task":
            return [f"It waits for a person: {wait.name!r}{since}.", command("complete", wait.token, "[JSON]")]
        case "child":
            return [f"It waits for its child {wait.name!r}{since}.", command("show", wait.run_id)]
        case "handler":
            return [f"Its function has ended; it waits until its handler {wait.name!r} has ended too{since}."]
        case "queue":
            return [_queued(wait, around)]
        case "step":
            return _step(wait, info, around, since)
        case _:
            return [f"It waits until a condition in its code holds{since}."]


def _queued(wait: Wait, around: Surroundings) -> str:
    if wait.until and moment(wait.until) > around.now:
        return f"It begins at {_until(wait.until, around.now)}, on queue {wait.queue!r}."
    if wait.is_paused:
        return f"It waits on queue {wait.queue!r}, which is paused: {wait.before} before it."
    if wait.holder:
        return f"It waits on queue {wait.queue!r} for {wait.holder!r}, which has the same key {wait.key!r}."
    return f"It waits on queue {wait.queue!r}: {wait.before} before it."


def _step(wait: Wait, info: RunInfo, around: Surroundings, since: str) -> list[str]:
    failed = [f"  The last error: {wait.error}"] if wait.error else []
    if wait.parked == "uncertain":
        happened = command("resolve", info.id, wait.key, "--value", "JSON")
        not_so = command("resolve", info.id, wait.key, "--error", "TEXT")
        return [
            f"Step {wait.name!r} was begun{since}, and its result was never recorded.",
            f"{happened}    it happened, with this result",
            f"{not_so}    it did not happen",
        ]
    if wait.parked:
        tried = "its only attempt" if wait.attempt == 1 else f"its {wait.attempt} attempts"
        by_hand = command("resolve", info.id, wait.key, "--value", "null")
        return [f"The undo {wait.name!r} used up {tried}{since}.", *failed, f"{by_hand}   it was done by hand"]
    if wait.until and moment(wait.until) > around.now:
        return [
            f"Step {wait.name!r} is tried again, attempt {wait.attempt}, at {_until(wait.until, around.now)}.",
            *failed,
        ]
    if wait.queue and wait.queue not in around.served_queues:
        start = command("worker", "MODULE", "--queue", wait.queue)
        return [f"Step {wait.name!r} waits on queue {wait.queue!r}, which no worker serves{since}.", start, *failed]
    if wait.queue:
        return [f"Step {wait.name!r} is with queue {wait.queue!r}, attempt {wait.attempt}{since}.", *failed]
    if around.owner is None and wait.once:
        return [
            f"Step {wait.name!r} was begun{since}, and its worker died.",
            "Whoever takes the run up asks the step's resolver what happened, or leaves it to a person.",
        ]
    if around.owner is None:
        return [f"Step {wait.name!r} is executed, attempt {wait.attempt}, when a worker takes the run up.", *failed]
    return [f"It executes step {wait.name!r}, attempt {wait.attempt}{since}.", *failed]


def _ownership(info: RunInfo, around: Surroundings) -> list[str]:
    if around.owner is not None:
        process = around.owner.lease.process
        return [f"It is in the memory of worker process {process.pid} on {process.host}."]
    is_served = info.offered_on in around.served_queues
    if is_served and not around.is_published:
        return [
            f"No worker has published the workflow {info.type!r}. Start one that has it:",
            command("worker", "MODULE"),
        ]
    if around.is_owned and is_served:
        return ["Its worker is gone; another one takes it over."]
    if is_served:
        return []
    gone = "Its worker is gone, and no" if around.is_owned else "No"
    if info.version:
        return _unserved_version(info, gone)
    return [
        f"{gone} worker serves queue {info.queue!r}. Start one:",
        command("worker", "MODULE", *(("--queue", info.queue) if info.queue != "default" else ())),
    ]


def _unserved_version(info: RunInfo, gone: str) -> list[str]:
    return [
        f"{gone} worker serves version {info.version!r} of workflow {info.type!r} on queue {info.queue!r}, with which "
        "the run stays. Start one that has it:",
        command("worker", "MODULE", *(("--queue", info.queue) if info.queue != "default" else ())),
        f"  or have a newer version go on with it: @workflow(..., pinned=True, continues=[{info.version!r}])",
    ]


def _prospects(info: RunInfo, around: Surroundings) -> list[str]:
    said = []
    if around.unread:
        said.append(f"Not yet taken up: {around.unread} message{'' if around.unread == 1 else 's'} to it.")
    if around.timeout_at is not None and info.condition not in _BEYOND_TIMEOUT:
        left = _left(around.timeout_at, around.now)
        said.append(f"Its timeout ends it at {_at(around.timeout_at)} ({left}).")
    return said


def _until(microseconds: int, now: datetime) -> str:
    return f"{_at(moment(microseconds))} ({_left(moment(microseconds), now)})"


def _at(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _left(time: datetime, now: datetime) -> str:
    seconds = (time - now).total_seconds()
    if seconds <= 0:
        return "now due"
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit} left"
    return f"{seconds / 86_400:.0f} days left"
