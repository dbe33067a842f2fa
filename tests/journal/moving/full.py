"""A journal on SQLite with something of every noun in it, and what can be read of a journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from keepstep.client.promotion import promote, take_back
from keepstep.journal import (
    Commit,
    Condition,
    Declaration,
    Definition,
    Journal,
    Limits,
    NewMessage,
    NewTask,
    ParentLink,
    Position,
    Run,
    StateChange,
    Status,
    TaskRef,
    Ticket,
    Timer,
)
from keepstep.journal.moving import Progress
from keepstep.journal.sqlite import open_sqlite
from tests.journal.scene import START, ManualClock, event, get, lease, new_run

CUT = 7
"""Position in the log at which the subscriber ``reader`` stands."""


async def fill(path: Path, *, is_large: bool = False) -> list[str]:
    """The run ids of all runs of the journal. ``is_large``: with more in one run than a page may weigh."""
    journal = await open_sqlite(path, clock=ManualClock())
    try:
        await _fill(journal, is_large)
        return [run.run_id for run in await _all_runs(journal)]
    finally:
        await journal.close()


async def _fill(journal: Journal, is_large: bool) -> None:
    await journal.publish([_definition("fulfil"), _definition("ship")])
    await _purged(journal)
    await journal.open_lease(lease("L"))
    for condition in Condition:
        await _parked(journal, condition)
    for status in Status:
        if status is not Status.RUNNING:
            await _closed(journal, status)
    await _family(journal)
    await _mail(journal)
    await _tasks(journal)
    await _queues(journal)
    if is_large:
        await _large(journal)
    await journal.save_cursor("reader", Position(0, CUT))
    await journal.close_lease("L")


def _definition(name: str) -> Definition:
    return Definition(
        namespace="default", language="python", kind="workflow", name=name, queue="q", schema=b"{}", code="c",
        published_at=START,
    )  # fmt: skip


async def _purged(journal: Journal) -> None:
    """Two runs of which retention has removed one, so that the log has a hole and numbers are missing."""
    kept = await journal.start(new_run("kept"))
    gone = await journal.start(new_run("gone", events=tuple(event(f"old{n}") for n in range(3))))
    run = await get(journal, gone.run_id)
    await journal.commit(
        Commit(run_id=run.run_id, version=run.version, status=Status.COMPLETED, events=(event("end"),))
    )
    await journal.purge("default", START + 1)
    run = await get(journal, kept.run_id)
    await journal.commit(Commit(run_id=run.run_id, version=run.version, events=(event("on"),), id="commit-1"))


async def _start(journal: Journal, workflow_id: str, **changes: Any) -> Run:
    started = await journal.start(new_run(workflow_id, lease_id="L", **changes))
    return await get(journal, started.run_id)


async def _parked(journal: Journal, condition: Condition) -> None:
    run = await _start(journal, f"is {condition or 'advancing'}", attributes={"kunde": "Zoë", "n": 1})
    await journal.commit(
        Commit(
            run_id=run.run_id,
            epoch=run.epoch,
            events=(event("step_completed", b"\x00\xff{}", "charge#0"), event("timer_started", key="sleep#0")),
            state=(StateChange("attempts", "charge#1", b"2"), StateChange("", "", b"")),
            timers=(Timer("sleep#0", START + 5_000_000), Timer("late", START + 9_000_000)),
            condition=condition,
            detail=b"why",
            status_text="läuft – 42 %",
            release=True,
            blocked_for="L" if condition is Condition.BLOCKED else None,
            audit=f"made {condition or 'plain'}",
        )
    )


async def _closed(journal: Journal, status: Status) -> None:
    run = await _start(journal, f"has {status}")
    await journal.send(NewMessage(run_id=run.run_id, kind="signal", name="late", data=b"kept in the inbox"))
    await journal.commit(
        Commit(run_id=run.run_id, epoch=run.epoch, events=(event("closed"),), status=status, audit="closed\tby\nhand")
    )


async def _family(journal: Journal) -> None:
    parent = await _start(journal, "parent")
    child = new_run("child", parent=ParentLink(parent.run_id, "child#0"))
    await journal.commit(Commit(run_id=parent.run_id, epoch=parent.epoch, start=(child,), release=True))
    first = await _start(journal, "goes round")
    again = new_run("goes round", continued_from=first.run_id)
    await journal.commit(
        Commit(
            run_id=first.run_id, epoch=first.epoch, events=(event("ended"),), status=Status.CONTINUED, start=(again,)
        )
    )


async def _mail(journal: Journal) -> None:
    run = await _start(journal, "gets mail")
    for n in range(3):
        await journal.send(NewMessage(run_id=run.run_id, kind="signal", name="n", data=b"%d" % n, id=f"m{n}"))
    [first, *_] = await journal.read_messages(run.run_id)
    await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, consume=(first.n,), events=(event("got"),)))
    quiet = await _start(journal, "sleeps on", wake_at=None)
    await journal.commit(Commit(run_id=quiet.run_id, epoch=quiet.epoch, release=True, condition=Condition.WAITING))
    await journal.send(NewMessage(run_id=quiet.run_id, kind="note", wakes=False))


async def _tasks(journal: Journal) -> None:
    run = await _start(
        journal,
        "has tasks",
        tasks=(
            NewTask(kind="step", key="plain", queue="gpu", data=b"args"),
            NewTask(kind="step", key="urgent", queue="gpu", priority=7, attempt=3),
            NewTask(kind="step", key="fair", queue="gpu", fairness_key="tenant", fairness_weight=0.1),
            NewTask(kind="step", key="late", queue="gpu", visible_at=START + 1, deadline=START + 7),
            NewTask(kind="step", key="elsewhere", queue="rare", fallback_queue="gpu"),
            NewTask(kind="step", key="dropped", queue="gpu"),
        ),
    )
    [claimed] = await journal.claim_tasks("L", ["gpu"], ["step"], 1)
    await journal.release_task(claimed.token, visible_at=START, attempt=claimed.attempt + 1, data=b"more")
    await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, drop_tasks=(TaskRef("step", "dropped"),)))


async def _queues(journal: Journal) -> None:
    """One run holds the only slot, one waits."""
    await journal.declare_queues([Declaration(name="lane", limits=Limits(concurrency=1, weights={"gold": 2}))])
    for name in ("holds a slot", "waits for a slot"):
        ticket = Ticket(queue="lane", key="fulfil", fairness_key=name[0], is_asked_for=True)
        await journal.start(new_run(name, queue="lane", ticket=ticket))
    [admitted] = (await journal.claim_work("L", ["lane"], [], 10, ["fulfil"])).runs
    await journal.commit(Commit(run_id=admitted.run_id, epoch=admitted.epoch, release=True))


async def _large(journal: Journal) -> None:
    """More than a page's weight in one commit, and many small events."""
    run = await _start(journal, "is large")
    for n in range(3):
        heavy = event(data=bytes([n]) * 3_500_000)
        await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, events=(heavy,)))
    small = tuple(event(key=f"k{n}") for n in range(500))
    await journal.commit(Commit(run_id=run.run_id, epoch=run.epoch, events=small))


async def _all_runs(journal: Journal) -> list[Run]:
    return await journal.list_runs("default", limit=1000)


async def said_of(journal: Journal, run_id: str) -> dict[str, Any]:
    """All that can be read of a run, but for its shard."""
    loaded = await journal.load(run_id)
    found = msgspec.structs.asdict(loaded)
    found["run"] = msgspec.structs.asdict(loaded.run)
    del found["run"]["shard"]
    return {**found, "audit": await journal.read_audit(run_id)}


async def said_of_all(path: Path, run_ids: list[str]) -> dict[str, dict[str, Any]]:
    """The same of many, read from a SQLite file."""
    journal = await open_sqlite(path, clock=ManualClock())
    try:
        return {run_id: await said_of(journal, run_id) for run_id in run_ids}
    finally:
        await journal.close()


async def read_whole_log(journal: Journal, shard: int, after: int = 0) -> list[tuple[int, str, int]]:
    """Position, run and seq of all events of a shard behind a position, read in small pages."""
    read: list[tuple[int, str, int]] = []
    while page := await journal.read_log(Position(shard, read[-1][0] if read else after), 50):
        read += [(entry.position.n, entry.run_id, entry.event.seq) for entry in page]
    return read


def promote_now(path: Path, url: str, **options: Any) -> dict[str, int]:
    """Move, from another thread than an event loop's."""
    return promote(f"sqlite:///{path}", url, wait=False, tell=ignore, say=ignore, **options)


def take_back_now(path: Path, url: str, *, force: bool = False) -> None:
    take_back(f"sqlite:///{path}", url, force=force, tell=ignore, say=ignore)


def ignore(_: Progress | str) -> None:
    """Nobody watches."""
