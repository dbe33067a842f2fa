"""Changing: how a schedule is made, and changed by whoever wants to, without owning it.

A change is one commit that expects the version that was read. It takes the schedule from a worker that is just deciding
for it: what that was about to do is refused, and done again by whoever claims it next.
"""

from __future__ import annotations

from collections.abc import Callable

from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    Journal,
    NewEvent,
    NewRun,
    NotFound,
    Run,
    RunClosed,
    Started,
    Status,
)
from keepstep.journal.run import IfClosed, IfRunning
from keepstep.runtime.data import digest

from .guest import FORMAT, LANGUAGE, QUEUE, TYPE, room_of
from .plan import CREATED, UPDATED, Opening, Plan, encode_opening
from .standing import Standing, encode_standing, first_standing, standing_of

TRIES_MAX = 20


async def create(journal: Journal, namespace: str, id: str, opening: Opening, run_id: str) -> Started:
    """Make a schedule, or find the one of that id."""
    now = journal.clock.now()
    data = encode_opening(opening)
    new = NewRun(
        run_id=run_id,
        workflow_id=id,
        namespace=room_of(namespace),
        language=LANGUAGE,
        format=FORMAT,
        type=TYPE,
        queue=QUEUE,
        events=(NewEvent(CREATED, now, None, data),),
        started_at=now,
        input_digest=digest(TYPE, data),
        if_running=IfRunning.ATTACH,
        if_closed=IfClosed.RESTART,
    )
    return await journal.start(new)


async def find(journal: Journal, namespace: str, id: str) -> Run:
    """The schedule of that id. Raises ``NotFound``."""
    run = await journal.find_run(room_of(namespace), id)
    if run is None or run.status is not Status.RUNNING:
        raise NotFound(f"there is no schedule with the id {id!r} in namespace {namespace!r}")
    return run


async def read_standing(journal: Journal, run: Run) -> Standing:
    """Where a schedule is."""
    standing = standing_of(run)
    if standing is None:
        [created] = await journal.read_events(run.run_id, 0, 1)
        standing = first_standing(created, run.started_at)
    return standing


async def change(
    journal: Journal, namespace: str, id: str, edit: Callable[[Standing, Run], Standing], audit: str,
    plan: Plan | None = None,
) -> None:  # fmt: skip
    """Change where a schedule is; ``plan`` is what it is told to do from now on.

    Raises ``NotFound``, and ``Conflict`` if it changes too quickly.
    """
    events = () if plan is None else (NewEvent(UPDATED, journal.clock.now(), None, encode_opening(Opening(plan=plan))),)
    for _ in range(TRIES_MAX):
        run = await find(journal, namespace, id)
        standing = edit(await read_standing(journal, run), run)
        try:
            await journal.commit(
                Commit(
                    run_id=run.run_id,
                    version=run.version,
                    seize=True,
                    events=events,
                    condition=Condition.WAITING,
                    detail=encode_standing(standing),
                    wake_at=0,
                    audit=audit,
                )
            )
            return
        except (Conflict, RunClosed):
            continue
    raise Conflict(f"schedule {id!r} changes too quickly to be changed; try again")


async def delete(journal: Journal, namespace: str, id: str) -> None:
    """End a schedule; what it has started goes on. Raises what ``change`` does."""
    for _ in range(TRIES_MAX):
        run = await find(journal, namespace, id)
        try:
            await journal.commit(
                Commit(run_id=run.run_id, version=run.version, seize=True, status=Status.CANCELLED, audit="delete")
            )
            return
        except (Conflict, RunClosed):
            continue
    raise Conflict(f"schedule {id!r} changes too quickly to be deleted; try again")
