"""Signal and update with start: a run is spoken to, and started before if none of its id is open, in one operation.

The message travels in the start itself: either both happen or neither, and nobody else's message comes between. To a
run that is open already it is simply said; what that run was started with is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from keepstep.journal import AlreadyStarted, InvalidInput, NewMessage, NewRun, Run, RunClosed, Started, Status
from keepstep.worker.reply import UPDATE, UpdateRequest, encode_request

from .question import Patience, Question, outcome_in, update

if TYPE_CHECKING:
    from .engine import Engine


async def start_with(engine: Engine, new: NewRun, message: NewMessage) -> Started:
    """Start a run with a message, or say it to the open run of that id.

    Raises ``AlreadyStarted`` where that is of another type, ``RunClosed``.
    """
    there = await engine.journal.find_run(new.namespace, new.workflow_id)
    if there is not None and there.status is Status.RUNNING and there.type != new.type:
        raise AlreadyStarted(
            f"the run with the id {new.workflow_id!r} is a {there.type!r}, not a {new.type!r}; choose another id"
        )
    return await engine.begin(msgspec.structs.replace(new, messages=(message,)))


async def update_with_start(
    engine: Engine, new: NewRun, question: Question, id: str, timeout_seconds: float | None
) -> Any:
    """See ``Engine.update_with_start``."""
    if isinstance(question.args, str | bytes) or not isinstance(question.args, Sequence):
        raise InvalidInput(
            f"update_args is a list of the arguments of update {question.name!r}, such as [item], "
            f"not {question.args!r:.60}"
        )
    data = encode_request(UpdateRequest(id, await question.arguments()))
    run = await _closed_with(engine, new, id)
    if run is None:
        try:
            started = await start_with(engine, new, NewMessage(kind=UPDATE, name=question.name, data=data))
            run = await engine.journal.read_run(started.run_id)
        except RunClosed:
            run = await _closed_with(engine, new, id)
            if run is None:
                raise
    assert run is not None
    return await update(question, run, id, Patience(timeout_seconds))


async def _closed_with(engine: Engine, new: NewRun, id: str) -> Run | None:
    """The newest run of that workflow id, if it is closed and this update was accepted by it."""
    run = await engine.journal.find_run(new.namespace, new.workflow_id)
    if run is None or run.status is Status.RUNNING:
        return None
    return run if await outcome_in(engine.journal, run, id) is not None else None
