"""Debounced: how a run whose start was debounced begins.

Until its time has come it has the id of its key, so that later starts find it. Then it is closed and goes on as a run
with an id of its own, in the same commit and in the same slot of its queue: from there on no later start can take its
place, and the key is free for the next one. None of its code has run before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import (
    Commit,
    Fenced,
    JournalError,
    Loaded,
    Message,
    NewEvent,
    NewMessage,
    NotFound,
    Run,
    RunClosed,
    Status,
)
from keepstep.runtime import history
from keepstep.runtime.code_version import split_queue
from keepstep.runtime.history import pack
from keepstep.runtime.workflow import Workflow

if TYPE_CHECKING:
    from .worker import Worker

logger = logging.getLogger("keepstep.worker")


def begins_as(loaded: Loaded) -> str:
    """The id under which the run goes on; empty for one that was started plainly, or that has begun."""
    if len(loaded.events) != 1 or loaded.events[0].type != history.WORKFLOW_STARTED:
        return ""
    try:
        started: history.WorkflowStarted = history.unpack(history.WORKFLOW_STARTED, loaded.events[0].data)
    except msgspec.MsgspecError:
        return ""  # whoever admits it says that it cannot be read
    return started.begins_as


async def go_on_as(worker: Worker, run: Run, workflow: Workflow[Any, Any], loaded: Loaded) -> bool:
    """Close the run, and start the one that goes on. False if it has to be read again."""
    started: history.WorkflowStartedWithHeaders = history.unpack(loaded.events[0].type, loaded.events[0].data)
    new = worker.new_run(
        workflow,
        started.payload,
        run_id=worker.ids(),
        workflow_id=started.begins_as,
        namespace=run.namespace,
        queue=split_queue(run.queue, run.type)[0],
        continued_from=run.run_id,
        own_timeout_seconds=started.timeout_seconds if started.has_own_timeout else None,
        attributes=run.attributes,
        headers=started.headers,
        messages=carried_over(loaded.messages),
    )
    now = worker.journal.clock.now()
    event = NewEvent(history.WORKFLOW_CONTINUED, now, None, pack(history.WorkflowContinued(new.run_id)))
    commit = Commit(
        run_id=run.run_id,
        epoch=run.epoch,
        first_seq=run.last_seq + 1,
        inbox_seen=max((each.n for each in loaded.messages), default=0),
        events=(event,),
        status=Status.CONTINUED,
        start=(new,),
    )
    try:
        await worker.journal.commit(commit)
        if worker.watching is not None:
            worker.watching.went_on(run, now)
    except (Fenced, NotFound, RunClosed):
        return True  # it is somebody else's, or was ended
    except JournalError as error:
        logger.info("run %s could not begin yet (%s); it is read again", run.run_id, error)
        return False
    return True


def carried_over(messages: Iterable[Message]) -> tuple[NewMessage, ...]:
    """What was said to a run, for the run that takes its place."""
    return tuple(NewMessage(kind=each.kind, name=each.name, data=each.data, id=each.id) for each in messages)
