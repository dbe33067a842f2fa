"""Progress: what a run is doing or waiting for, since when, what failed, and what happens next, in sentences.

Pure: ``Surroundings`` holds what was read, ``progress`` makes words of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from keepstep.journal import Condition, Journal, LeaseState, Status
from keepstep.worker.words import Wait

from .info import RunInfo, moment


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What around a run decides how it goes on."""

    now: datetime
    owner: LeaseState | None = None
    """The worker that has the run, if one has."""
    is_owned: bool = False
    wake_at: datetime | None = None
    unread: int = 0
    """Messages that no commit has consumed yet."""
    served_queues: frozenset[str] = frozenset()

    @classmethod
    async def of(cls, journal: Journal, info: RunInfo) -> Surroundings:
        """Read them from the journal."""
        leases = await journal.list_leases()
        run = await journal.read_run(info.run_id)
        owner = None if run is None else run.owner
        return cls(
            now=moment(journal.clock.now()),
            owner=next((each for each in leases if each.lease.lease_id == owner), None),
            is_owned=owner is not None,
            wake_at=moment(run.wake_at) if run is not None and run.wake_at else None,
            unread=len(await journal.read_messages(info.run_id)),
            served_queues=frozenset(queue for each in leases for queue in each.lease.queues),
        )


def progress(info: RunInfo, around: Surroundings) -> list[str]:
    """Sentences, the most important first."""
    if info.status is not Status.RUNNING:
        return _closed(info)
    said = _PARKED.get(info.condition, _nothing)(info, around)
    said += [_waiting(each, info, around) for each in info.waiting_for]
    if not said:
        said.append("It is being advanced." if around.is_owned else "It waits for a worker to take it up.")
    return [*said, *_ownership(info, around)]


def _closed(info: RunInfo) -> list[str]:
    words = {
        Status.COMPLETED: "It completed.",
        Status.FAILED: f"It failed: {info.error}",
        Status.CANCELLED: "It was cancelled, and has undone what it had to.",
        Status.TIMED_OUT: "It reached its timeout, and has undone what it had to.",
        Status.TERMINATED: f"It was {info.error or 'terminated'}; nothing was undone.",
        Status.CONTINUED: "It goes on as a new run of the same id.",
    }
    said = [words[info.status]]
    if info.status is Status.FAILED:
        said.append(f"  keepstep retry {info.id}   lets it go on at the failed step, once the cause is mended")
    return said


def _nothing(_: RunInfo, __: Surroundings) -> list[str]:
    return []


def _blocked(info: RunInfo, _: Surroundings) -> list[str]:
    diff = info.detail.blocked or {}
    said = ["It is blocked: " + str(diff.get("summary", "its code does not fit its history."))]
    if diff.get("history"):
        said.append(f"  history has    seq {diff.get('seq')}: {diff['history']}")
    for each in diff.get("asked", ()):
        site = each.get("site")
        where = f"   at {site['file']}:{site['line']} in {site['function']}" if site else ""
        said.append(f"  the code asks  {each['key']}: {each['what']}{where}")
    said.append("Nothing was written. It goes on by itself when a worker with fitting code starts.")
    return said


def _uncertain(info: RunInfo, _: Surroundings) -> list[str]:
    return ["A step may or may not have happened; somebody must say."]


def _compensating(info: RunInfo, _: Surroundings) -> list[str]:
    if any(each.parked == "undo_exhausted" for each in info.waiting_for):
        return [f"It is undoing what it did, and an undo has failed.\n  keepstep retry {info.id}   tries it again"]
    return ["It is undoing what it did."]


def _paused(_: RunInfo, __: Surroundings) -> list[str]:
    return ["It is paused."]


def _quarantined(info: RunInfo, _: Surroundings) -> list[str]:
    return [
        "It is quarantined: the workers that took it up died, again and again, before it made any progress.",
        f"  keepstep retry {info.id}   lets it try again, once the cause is mended",
    ]


_PARKED: dict[Condition, Callable[[RunInfo, Surroundings], list[str]]] = {
    Condition.BLOCKED: _blocked,
    Condition.UNCERTAIN: _uncertain,
    Condition.COMPENSATING: _compensating,
    Condition.PAUSED: _paused,
    Condition.QUARANTINED: _quarantined,
}


def _waiting(wait: Wait, info: RunInfo, around: Surroundings) -> str:
    since = f", since {_at(wait.since)}" if wait.since else ""
    match wait.kind:
        case "signal":
            return f"It waits for the signal {wait.name!r}{since}.   keepstep signal {info.id} {wait.name} [JSON]"
        case "timer":
            return f"It waits for a timer{since}, until {_at(wait.until)} ({_left(wait.until, around.now)})."
        case "callback":
            return f"It waits for the callback {wait.key!r}{since}.   keepstep complete {wait.token} [JSON]"
        case "human_task":
            return f"It waits for a person: {wait.name!r}{since}.   keepstep complete {wait.token} [JSON]"
        case "child":
            return f"It waits for its child {wait.name!r} (run {wait.run_id}){since}."
        case "step":
            return _step(wait, info, around, since)
        case _:
            return f"It waits until a condition in its code holds{since}."


def _step(wait: Wait, info: RunInfo, around: Surroundings, since: str) -> str:
    failed = f" The last error: {wait.error}." if wait.error else ""
    if wait.parked == "uncertain":
        return (
            f"Step {wait.name!r} was begun{since} and its result was never recorded.\n"
            f"  keepstep resolve {info.id} '{wait.key}' --value JSON    it happened, with this result\n"
            f"  keepstep resolve {info.id} '{wait.key}' --error TEXT    it did not happen"
        )
    if wait.parked:
        return f"The undo {wait.name!r} used up its {wait.attempt} attempts.{failed}"
    if wait.until and moment(wait.until) > around.now:
        return f"Step {wait.name!r} is tried again, attempt {wait.attempt}, at {_at(wait.until)}.{failed}"
    if wait.queue and wait.queue not in around.served_queues:
        return f"Step {wait.name!r} waits on queue {wait.queue!r}, which no worker serves.{failed}"
    place = f" on queue {wait.queue!r}" if wait.queue else ""
    return f"It executes step {wait.name!r}{place}, attempt {wait.attempt}{since}.{failed}"


def _ownership(info: RunInfo, around: Surroundings) -> list[str]:
    said = []
    if around.unread:
        said.append(f"{around.unread} messages to it wait to be taken up.")
    if around.owner is not None:
        process = around.owner.lease.process
        said.append(f"It is in the memory of process {process.pid} on {process.host}.")
    elif around.is_owned:
        said.append("Its worker is gone; another one takes it over.")
    elif info.queue not in around.served_queues:
        said.append(
            f"No worker serves queue {info.queue!r}; start one with keepstep worker MODULE --queue {info.queue}"
        )
    return said


def _at(microseconds: int) -> str:
    return moment(microseconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _left(microseconds: int, now: datetime) -> str:
    seconds = (moment(microseconds) - now).total_seconds()
    if seconds <= 0:
        return "now due"
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit} left"
    return f"{seconds / 86_400:.0f} days left"
