"""Moving: a run that waits for its time, or for its turn, is to begin at another time.

The run whose start is moved is closed, and another one takes its place by the same commit: with the same id, input,
attributes, priority and messages, and with the new time as that at which it starts, from which its timeout counts. A
debounced start is moved likewise (``debouncing``). That commit is refused if the run has begun.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from keepstep.journal import (
    Commit,
    Condition,
    Conflict,
    InvalidInput,
    Loaded,
    NewEvent,
    NewRun,
    Run,
    RunClosed,
    Status,
    Ticket,
)
from keepstep.journal.queue import Place
from keepstep.queues.waiting import WaitingOptions
from keepstep.runtime import history
from keepstep.runtime.code_version import split_queue
from keepstep.runtime.history import pack
from keepstep.worker.debounced import carried_over
from keepstep.worker.said import Hearing
from keepstep.worker.watching import tell_closed

if TYPE_CHECKING:
    from .engine import Engine

TRIES_MAX = 20


async def move_start(engine: Engine, read: Callable[[], Awaitable[Run]], when: WaitingOptions) -> str:
    """The run id of the run that waits from now on. See ``RunHandle.move_start``."""
    journal = engine.journal
    not_before = when.not_before(journal.clock.now())
    for _ in range(TRIES_MAX):
        run = await read()
        if run.status is not Status.RUNNING:
            raise RunClosed(f"run {run.workflow_id!r} is closed already ({run.status})")
        place = await journal.find_place(run.run_id)
        if run.condition is not Condition.QUEUED or run.epoch > 0 or place is None:
            raise InvalidInput(f"run {run.workflow_id!r} has begun; what waits on its queue can be moved")
        if run.parent_run_id is not None:
            raise InvalidInput(f"run {run.workflow_id!r} is a child, and begins when its parent says so")
        loaded = await journal.load(run.run_id)
        new = _in_its_place(engine, loaded, place, not_before)
        continued = pack(history.WorkflowContinued(new.run_id))
        end = NewEvent(history.WORKFLOW_CONTINUED, journal.clock.now(), None, continued)
        try:
            await journal.commit(
                Commit(
                    run_id=run.run_id,
                    version=run.version,
                    inbox_seen=max((each.n for each in loaded.messages), default=0),
                    events=(end,),
                    status=Status.CONTINUED,
                    start=(new,),
                    audit=f"its start was moved: run {new.run_id} takes its place",
                )
            )
        except (Conflict, RunClosed):
            continue  # it was spoken to, was moved, or has begun since it was read
        if engine.audience is not None:
            tell_closed(engine.audience, run, Status.CONTINUED, end.time, Hearing())
        return new.run_id
    raise Conflict("the run changes too quickly for its start to be moved; try again")


def _in_its_place(engine: Engine, loaded: Loaded, place: Place, not_before: int) -> NewRun:
    run, first = loaded.run, loaded.events[0]
    pinned = split_queue(run.queue, run.type)[1] is not None
    ticket = Ticket(
        queue=place.queue,
        key=run.queue if pinned else run.type,
        priority=place.priority,
        fairness_key=place.fairness_key,
        not_before=not_before,
        is_asked_for=True,
    )
    return NewRun(
        run_id=engine.new_id(),
        workflow_id=run.workflow_id,
        namespace=run.namespace,
        language=run.language,
        format=run.format,
        type=run.type,
        queue=run.queue,
        events=(NewEvent(first.type, not_before, first.key, first.data),),
        started_at=not_before,
        input_digest=run.input_digest,
        attributes=run.attributes,
        ticket=ticket,
        continued_from=run.run_id,
        messages=carried_over(loaded.messages),
    )
