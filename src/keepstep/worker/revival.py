"""Revival: a failed run goes on, and the children that failed with it are done again.

One commit reopens the run. It sets aside the failures that the run's own came from, and names the children that had not
completed, as they were then (``history.WorkflowReopened``). Whoever takes the run up looks at each child that its code
waits for (``revive_children``), and does that again after every crash, so that no child is forgotten and none revived
twice:

* one that is as it was named is done again: one that has failed is reopened in its turn, as if somebody had retried it;
  one that cannot go on (it was cancelled, ended by force, reached its timeout, has compensated, is not there any more)
  is started anew under its workflow id, which a second ``child_started`` records. So is one that was copied by a fork.
* one that has ended since is heard, as nobody told the run while it was closed.
* one that is open tells its end by itself. If its parent's end had told it to stop, it is started anew when it has.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from keepstep.journal import (
    Commit,
    Conflict,
    Event,
    InvalidInput,
    Journal,
    JournalError,
    NewEvent,
    NotFound,
    Run,
    RunClosed,
    Status,
)
from keepstep.runtime import history
from keepstep.runtime.child import ABANDON
from keepstep.runtime.history import ChildSeen, pack
from keepstep.runtime.operation import ChildOperation
from keepstep.runtime.reopening import without_superseded

from .attempt import sealed_error
from .last_event import last_event
from .opening import start_child

if TYPE_CHECKING:
    from .resident import Resident

logger = logging.getLogger("keepstep.worker")

EVENTS_PAGE = 1000
LOOKS_MAX = 20
"""So often is a child looked at that changes while it is."""

_OF_CHILDREN = (history.CHILD_STARTED, history.CHILD_CLOSED, history.CHILD_REFUSED, history.WORKFLOW_REOPENED)


# reopening


async def failure_of(journal: Journal, run: Run) -> tuple[Event, history.WorkflowFailed]:
    """How a failed run has ended. Raises ``InvalidInput`` where it cannot go on from there."""
    closing = await last_event(journal, run)
    failed: history.WorkflowFailed = history.unpack(closing.type, closing.data)
    if failed.compensated:
        raise InvalidInput(
            f"run {run.workflow_id!r} has compensated what it had done, so it cannot go on at the failed step; "
            'start it anew with if_closed="restart"'
        )
    return closing, failed


async def reopen(journal: Journal, run: Run) -> None:
    """Let a failed run go on. Raises ``InvalidInput`` where it cannot, ``Conflict`` if it has changed since."""
    closing, failed = await failure_of(journal, run)
    superseded = (*await _set_aside(journal, run, failed), closing.seq)
    children = await _children_to_redo(journal, run, superseded)
    data = pack(history.WorkflowReopened(superseded, loose=failed.reactions, children=children))
    event = NewEvent(history.WORKFLOW_REOPENED, journal.clock.now(), None, data)
    await journal.commit(
        Commit(
            run_id=run.run_id,
            version=run.version,
            status=Status.RUNNING,
            events=(event,),
            wake_at=0,
            audit="retry: reopened at the failed step",
        )
    )


async def _set_aside(journal: Journal, run: Run, failed: history.WorkflowFailed) -> list[int]:
    """What counts no more: the failures that the run's came from, and those that its code did not live to see.

    So does a request to cancel it that came behind the first of them: whoever retries it wants it to go on. The end of
    a parent that has failed asks that of its children, also of those that are failing themselves.
    """
    failures = {failed.failed_seq, *failed.also_failed} - {0}
    if not failures:
        return []
    set_aside = set(failures)
    async for event in _events(journal, run, min(failures)):
        is_late = 0 < failed.seen_seq < event.seq
        if event.type == history.CANCEL_REQUESTED or (is_late and _is_failure(event)):
            set_aside.add(event.seq)
    return sorted(set_aside)


async def _events(journal: Journal, run: Run, after_seq: int = 0) -> AsyncIterator[Event]:
    while page := await journal.read_events(run.run_id, after_seq, EVENTS_PAGE):
        for event in page:
            yield event
        after_seq = page[-1].seq


def _is_failure(event: Event) -> bool:
    if event.type == history.CHILD_CLOSED:
        return bool(history.unpack(event.type, event.data).status != Status.COMPLETED)
    return event.type == history.STEP_FAILED


async def _children_to_redo(journal: Journal, run: Run, superseded: Sequence[int]) -> tuple[ChildSeen, ...]:
    """The children that the run's code will wait for and that have not completed."""
    seen = []
    for started, was_waited_for in await _children_waited_for(journal, run, superseded):
        child = await _end_of_chain(journal, started.run_id)
        if child is None:
            seen.append(ChildSeen(started.run_id, 0))
        elif child.status is Status.RUNNING:
            if was_waited_for and started.if_parent_closes != ABANDON:
                seen.append(ChildSeen(started.run_id, 0))
        elif child.status is not Status.COMPLETED:
            seen.append(ChildSeen(child.run_id, child.last_seq))
    return tuple(seen)


async def _children_waited_for(
    journal: Journal, run: Run, superseded: Sequence[int]
) -> list[tuple[history.ChildStarted, bool]]:
    """The children whose end the history, without what is set aside, does not have.

    True beside those that had not ended either when the run failed, and were told so.
    """
    counted, _ = without_superseded([each async for each in _events(journal, run) if each.type in _OF_CHILDREN])
    waited_for: dict[str | None, tuple[history.ChildStarted, bool]] = {}
    for event in counted:
        if event.type == history.CHILD_STARTED:
            waited_for[event.key] = history.unpack(event.type, event.data), True
        elif event.type == history.CHILD_CLOSED and event.seq in superseded and event.key in waited_for:
            waited_for[event.key] = waited_for[event.key][0], False
        elif event.type == history.CHILD_CLOSED:
            waited_for.pop(event.key, None)
    return list(waited_for.values())


async def _end_of_chain(journal: Journal, run_id: str) -> Run | None:
    """The run in which a child goes on or has ended, where it has continued as new; None if it is not there."""
    run = await journal.read_run(run_id)
    while run is not None and run.status is Status.CONTINUED:
        event = await last_event(journal, run)
        run = await journal.read_run(history.unpack(event.type, event.data).run_id)
    return run


# children


def revive_children(resident: Resident) -> None:
    """The run was reopened: look at the children that its code waits for."""
    pending = resident.execution.pending.values()
    waited_for = [each for each in pending if isinstance(each, ChildOperation) and each.run_id is not None]
    if waited_for:
        resident.reviving.update(each.key for each in waited_for)
        resident.worker.spawn(_look_at_all(resident, waited_for))


def hears_of_stopped(resident: Resident, operation: ChildOperation, status: str) -> bool:
    """True for the end of a child that the run had told to stop before it was reopened: it is started anew."""
    if status in (Status.COMPLETED, Status.FAILED) or not _was_stopping(resident, operation):
        return False
    resident.reviving.add(operation.key)
    resident.worker.spawn(_look_at_all(resident, [operation]))
    return True


def _was_stopping(resident: Resident, operation: ChildOperation) -> bool:
    return ChildSeen(operation.run_id or "", 0) in (resident.execution.children_seen or ())


async def _look_at_all(resident: Resident, children: Sequence[ChildOperation]) -> None:
    for operation in children:
        try:
            await _look_at(resident, operation)
        except JournalError as error:
            resident.refused(error)
            return
        resident.reviving.discard(operation.key)
    if not resident.is_dropped:
        resident.worker.rest(resident)


async def _look_at(resident: Resident, operation: ChildOperation) -> None:
    """Do with one child what there is to do."""
    journal, run_id = resident.worker.journal, operation.run_id
    assert run_id is not None
    for _ in range(LOOKS_MAX):
        child = await _end_of_chain(journal, run_id)
        if child is not None and child.status is Status.RUNNING:
            return
        stopped = _was_stopping(resident, operation)
        if stopped and not await _is_heard(resident, operation):
            return  # with the message that says so it is looked at once more
        if not _is_waited_for(resident, operation, run_id):
            return
        if child is None:
            await start_child(resident, operation) if stopped else _answer_gone(resident, operation)
            return
        if stopped and child.status not in (Status.COMPLETED, Status.FAILED):
            await start_child(resident, operation)
            return
        if ChildSeen(child.run_id, child.last_seq) not in (resident.execution.children_seen or ()):
            await _answer(resident, operation, child)
            return
        if await _redo(resident, operation, child):
            return
    raise Conflict(f"the child {run_id} of run {resident.run_id} changes too quickly to be looked at")


def _is_waited_for(resident: Resident, operation: ChildOperation, run_id: str) -> bool:
    if resident.is_dropped or resident.is_closing or operation.abandoned or operation.run_id != run_id:
        return False
    key = operation.key
    return resident.execution.pending.get(key) is operation and key not in resident.answered


async def _is_heard(resident: Resident, operation: ChildOperation) -> bool:
    """Whether nothing is on its way to this run about the end of a child."""
    said = await resident.worker.journal.read_messages(resident.run_id)
    return not any(
        each.n > resident.inbox_seen and each.kind == "child_closed" and each.name == operation.key for each in said
    )


async def _redo(resident: Resident, operation: ChildOperation, child: Run) -> bool:
    """Do a child again that is as it was when its parent was reopened. False if it is not any more."""
    journal = resident.worker.journal
    is_own = child.parent_run_id == resident.run_id
    if child.status is Status.FAILED and is_own:
        try:
            await reopen(journal, child)
            return True
        except InvalidInput:
            pass  # it has compensated
        except (Conflict, RunClosed) as error:
            now = await journal.read_run(child.run_id)
            if now is None or now.version != child.version:
                return False
            logger.warning("a child of run %s is not done again: %s", resident.run_id, error)
            await _answer(resident, operation, child)
            return True
    if operation.run_id is not None and _is_waited_for(resident, operation, operation.run_id):
        await start_child(resident, operation)
    return True


async def _answer(resident: Resident, operation: ChildOperation, child: Run) -> None:
    """Tell the code how a child has ended."""
    end = await last_event(resident.worker.journal, child)
    data: Any = history.unpack(end.type, end.data)
    payload = getattr(data, "payload", b"") or getattr(data, "failure", b"")
    resident.answer(operation, history.CHILD_CLOSED, pack(history.ChildClosed(child.status, payload)))


def _answer_gone(resident: Resident, operation: ChildOperation) -> None:
    error = NotFound(f"the child {operation.workflow_id!r} ended and was removed while its parent was closed")
    data = history.ChildClosed(Status.FAILED, sealed_error(error))
    resident.answer(operation, history.CHILD_CLOSED, pack(data))
