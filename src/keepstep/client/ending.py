"""Ending: closing an open run by force, and starting another one in its place.

Both take the run from whoever owns it, so that nothing its worker does afterwards is recorded. A run that went on since
it was read is read again, a bounded number of times.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from keepstep.journal import (
    Commit,
    Conflict,
    Journal,
    NewEvent,
    NewMessage,
    NewRun,
    Run,
    RunClosed,
    Started,
    Status,
)
from keepstep.runtime import history
from keepstep.runtime.data import plain_text
from keepstep.runtime.history import pack
from keepstep.worker.kinship import words_after_termination

TRIES_MAX = 20
EVENTS_PAGE = 1000
OF_CHILDREN = (history.CHILD_STARTED, history.CHILD_CLOSED)


async def terminate(journal: Journal, read: Callable[[], Awaitable[Run]], reason: str, *, is_certain: bool) -> None:
    """End the run that ``read`` reads. ``is_certain``: it is a certain run, not whichever is the newest of its id.

    Raises ``RunClosed``, and ``Conflict`` if it changes too quickly.
    """
    plain_text(reason, "the reason")
    run = await read()
    for _ in range(TRIES_MAX):
        if run.status is not Status.RUNNING:
            raise RunClosed(f"run {run.workflow_id!r} is closed already ({run.status})")
        try:
            await journal.commit(await _termination(journal, run, reason))
            return
        except Conflict:
            pass
        except RunClosed:
            if is_certain:
                raise  # otherwise it may have been restarted, and the newest run is another one
        run = await read()
    raise Conflict(f"run {run.workflow_id!r} changes too quickly to be terminated; try again")


async def restart(journal: Journal, new: NewRun) -> Started:
    """End the open run of that workflow id by force and start the new one, in one commit."""
    for _ in range(TRIES_MAX):
        run = await journal.find_run(new.namespace, new.workflow_id)
        try:
            if run is None or run.status is not Status.RUNNING:
                return await journal.start(new)
            commit = await _termination(journal, run, "restarted", new.run_id)
            commit.start = (msgspec.structs.replace(new, continued_from=run.run_id),)
            return (await journal.commit(commit)).started[0]
        except (Conflict, RunClosed):
            continue  # it went on, ended, or was restarted by somebody else since it was read
    raise Conflict(f"run {new.workflow_id!r} changes too quickly to be restarted; try again")


async def _termination(journal: Journal, run: Run, reason: str, restarted_as: str = "") -> Commit:
    """``restarted_as`` is the run that takes its place, if one does."""
    data = pack(history.WorkflowTerminated(reason, restarted_as))
    event = NewEvent(history.WORKFLOW_TERMINATED, journal.clock.now(), None, data)
    send = words_after_termination(run.namespace, run.run_id, await _events(journal, run))
    if run.parent_run_id is not None:
        told = pack(history.ChildClosed(Status.TERMINATED, b""))
        send.append(NewMessage(run_id=run.parent_run_id, kind="child_closed", name=run.parent_key or "", data=told))
    return Commit(
        run_id=run.run_id,
        version=run.version,
        seize=True,
        status=Status.TERMINATED,
        events=(event,),
        send=tuple(send),
        audit=f"terminate: {reason}",
    )


async def _events(journal: Journal, run: Run) -> list[tuple[str, str | None, bytes]]:
    """The events of its children in a run's history as it was read; that it has not gone on, its version says."""
    found: list[tuple[str, str | None, bytes]] = []
    seq = 0
    while page := await journal.read_events(run.run_id, seq, EVENTS_PAGE):
        found += [(each.type, each.key, each.data) for each in page if each.type in OF_CHILDREN]
        seq = page[-1].seq
    return found
