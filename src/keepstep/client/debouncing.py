"""Debouncing: of many starts in a row one run, with what the last of them has said.

There is one run of the key's id that waits for its time. A later start takes its place, by the commit that closes it:
that is refused if it has begun, so that the input which is executed is the last one that was acknowledged. When its
time has come, its worker has it go on under an id of its own (``worker.debounced``), and the key is free for the next.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from keepstep.journal import (
    AlreadyStarted,
    Commit,
    Condition,
    Conflict,
    IfClosed,
    IfRunning,
    NewEvent,
    NewRun,
    NotFound,
    Run,
    RunClosed,
    Status,
)
from keepstep.runtime import history
from keepstep.runtime.history import pack
from keepstep.worker.debounced import carried_over
from keepstep.worker.said import Hearing
from keepstep.worker.watching import tell_closed

if TYPE_CHECKING:
    from collections.abc import Callable

    from .engine import Engine

TRIES_MAX = 400
PAUSE_SECONDS = 0.05
"""It is waited so long, about twenty seconds in all, for a run whose time has come and whose worker has died."""


async def debounce(engine: Engine, id: str, delay: int, at_most: int | None, make: Callable[[int, int], NewRun]) -> str:
    """Start the run of that id, or take the place of the one that waits; the run id. Times are in microseconds.

    ``make`` makes the run from its delay and from the time that it does not wait beyond (0 for none).
    Raises ``Conflict`` where that changes too quickly.
    """
    journal = engine.journal
    for _ in range(TRIES_MAX):
        run = await journal.find_run(engine.namespace, id)
        try:
            if run is None or run.status is not Status.RUNNING:
                now = journal.clock.now()
                new = make(delay if at_most is None else min(delay, at_most), 0 if at_most is None else now + at_most)
                new = msgspec.structs.replace(new, if_running=IfRunning.REJECT, if_closed=IfClosed.RESTART)
                return (await journal.start(new)).run_id
            if run.condition is Condition.QUEUED and run.epoch == 0:
                return await _take_its_place(engine, run, delay, make)
        except (AlreadyStarted, Conflict, RunClosed, NotFound):
            continue  # somebody else was quicker
        await asyncio.sleep(PAUSE_SECONDS)
    raise Conflict(f"the run that {id!r} waits for neither begins nor goes on; is a worker there?")


async def _take_its_place(engine: Engine, run: Run, delay: int, make: Callable[[int, int], NewRun]) -> str:
    journal = engine.journal
    loaded = await journal.load(run.run_id)
    not_after = history.unpack(loaded.events[0].type, loaded.events[0].data).not_after
    left = delay if not not_after else max(min(delay, not_after - journal.clock.now()), 0)
    new = make(left, not_after)
    new = msgspec.structs.replace(new, continued_from=run.run_id, messages=carried_over(loaded.messages))
    event = NewEvent(history.WORKFLOW_CONTINUED, journal.clock.now(), None, pack(history.WorkflowContinued(new.run_id)))
    await journal.commit(
        Commit(
            run_id=run.run_id,
            version=run.version,
            inbox_seen=max((each.n for each in loaded.messages), default=0),
            events=(event,),
            status=Status.CONTINUED,
            start=(new,),
        )
    )
    if engine.audience is not None:
        tell_closed(engine.audience, run, Status.CONTINUED, event.time, Hearing())
    return new.run_id
