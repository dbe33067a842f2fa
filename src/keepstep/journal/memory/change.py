"""Commits: the expectations are checked first, all of them; only then is anything written."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from keepstep.journal.commit import Commit, Committed, Started
from keepstep.journal.errors import Conflict, DeedFailed, Fenced, RunClosed, Unsupported
from keepstep.journal.hint import Closing
from keepstep.journal.port import AuditLine
from keepstep.journal.run import Condition, Status

from . import attributes
from .disk import RunRow, Transaction
from .history import append_events
from .inbox import deliver_or_drop
from .queueing import holds_slot, put_ticket_again
from .size import check_growth, check_inboxes
from .start import start_from
from .task import add_tasks, held_task


def commit_run(tx: Transaction, commit: Commit) -> Committed:
    """Change a run, or raise and change nothing."""
    if commit.deed is not None:
        why = Unsupported("a store in memory has no tables for transactional steps; use SQLite or PostgreSQL")
        raise DeedFailed(str(why)) from why
    row = tx.disk.get(commit.run_id)
    _check_owner(tx, row, commit)
    _check_version(row, commit)
    if not row.is_open():
        _check_reopening(tx, row)
    _check_inbox(row, commit)
    check_growth(row, commit.events)
    check_inboxes(tx.disk, commit.send)
    if commit.attributes:
        attributes.admit(tx.disk, row.run.namespace, commit.attributes)
    for new in commit.start:
        attributes.admit(tx.disk, new.namespace, new.attributes)
    return _apply(tx, row, commit)


def _check_owner(tx: Transaction, row: RunRow, commit: Commit) -> None:
    run = row.run
    if commit.epoch is not None and (run.owner is None or run.epoch != commit.epoch):
        raise Fenced(f"run {run.run_id} is not owned under epoch {commit.epoch} any more (now {run.epoch}); forget it")
    if commit.task_token is not None:
        held_task(tx, commit.task_token, run.run_id)
    if commit.seize and commit.lease_id is not None and commit.lease_id not in tx.disk.leases:
        raise Fenced(f"lease {commit.lease_id} is over; it cannot seize run {run.run_id}")


def _check_version(row: RunRow, commit: Commit) -> None:
    run = row.run
    reopens = commit.version is not None and commit.status is Status.RUNNING
    if not row.is_open() and not reopens:
        raise RunClosed(f"{run.workflow_id!r} (run {run.run_id}) is {run.status.value}; nothing can be changed")
    if commit.version not in (None, run.version):
        raise Conflict(f"run {run.run_id} is at version {run.version}, not {commit.version}; read it again")
    by_version_alone = commit.epoch is None and commit.task_token is None
    if by_version_alone and run.owner is not None and not commit.seize:
        raise Conflict(f"run {run.run_id} is owned by lease {run.owner}; seize it, or leave it to its owner")
    if commit.first_seq not in (None, run.last_seq + 1):
        raise Conflict(f"the next event of run {run.run_id} gets seq {run.last_seq + 1}, not {commit.first_seq}")


def _check_reopening(tx: Transaction, row: RunRow) -> None:
    run = row.run
    other = tx.disk.open_workflows.get((run.namespace, run.workflow_id))
    if other is not None:
        raise Conflict(f"run {run.run_id} cannot be reopened: {run.workflow_id!r} runs again as {other}")


def _check_inbox(row: RunRow, commit: Commit) -> None:
    newest = max(row.inbox, default=0)
    if commit.inbox_seen is not None and newest > commit.inbox_seen:
        raise Conflict(f"run {row.run.run_id} has message {newest}; only those up to {commit.inbox_seen} were seen")
    missing = [n for n in commit.consume if n not in row.inbox]
    if missing or len(set(commit.consume)) != len(commit.consume):
        raise Conflict(f"message {missing or commit.consume} of run {row.run.run_id} was consumed before")


def _apply(tx: Transaction, row: RunRow, commit: Commit) -> Committed:
    was_open, was_owned = row.is_open(), row.run.owner is not None
    had_progress = row.run.last_seq > row.claimed_seq
    append_events(tx, row, commit.events)
    if not commit.is_progress and not had_progress:
        row.claimed_seq = len(row.events)
    if commit.is_spoken:
        tx.news.spoken(row.run.run_id)
    _change_state(row, commit)
    row.change(**_run_changes(row, commit))
    _change_blocked_for(tx, row, commit)
    if commit.timers is not None:
        row.timers = commit.timers
    if row.is_open():
        _change_tasks(tx, row, commit)
        if not was_open:
            tx.disk.add_open(row)
    if commit.seize or commit.release:
        _change_owner(row, commit)
    had_slot = holds_slot(row)
    if was_open and not row.is_open():
        _close(tx, row, commit)
    elif not was_open and row.is_open():
        put_ticket_again(tx, row)
    started = _reach_others(tx, row, commit, had_slot)
    if row.is_asleep():
        _set_wake(tx, row, commit, lost_its_owner=was_owned or not was_open)
    if commit.audit is not None:
        row.audit.append(AuditLine(tx.now, commit.audit))
    if commit.id is not None:
        tx.disk.commits[commit.id] = tx.now
    return Committed(row.run.version, row.run.last_seq, row.run.epoch, started)


def _change_state(row: RunRow, commit: Commit) -> None:
    for change in commit.state:
        if change.data is None:
            row.state.pop((change.kind, change.key), None)
        else:
            row.state[change.kind, change.key] = change.data
    for n in commit.consume:
        del row.inbox[n]
        row.wakers.pop(n, None)


def _run_changes(row: RunRow, commit: Commit) -> dict[str, Any]:
    changes: dict[str, Any] = {"last_seq": len(row.events), "version": row.run.version + max(len(commit.events), 1)}
    if commit.status is not None:
        changes["status"] = commit.status
        if commit.status is Status.RUNNING:
            changes["closed_at"] = 0
    if commit.condition is not None:
        changes["condition"] = commit.condition
    if commit.detail is not None:
        changes["detail"] = commit.detail
    if commit.attributes is not None:
        merged = {**row.run.attributes, **deepcopy(commit.attributes)}
        changes["attributes"] = {name: value for name, value in merged.items() if value is not None}
    if commit.status_text is not None:
        changes["status_text"] = commit.status_text
    if commit.clear_strikes:
        changes["strikes"] = 0
    return changes


def _change_blocked_for(tx: Transaction, row: RunRow, commit: Commit) -> None:
    """Note which leases have tried a blocked run in vain; those that are over do not count any more."""
    if commit.condition not in (None, Condition.BLOCKED):
        row.blocked_for = ()
    elif row.run.condition is Condition.BLOCKED and commit.blocked_for is not None:
        tried = dict.fromkeys((*row.blocked_for, commit.blocked_for))
        row.blocked_for = tuple(each for each in tried if each in tx.disk.leases)


def _change_tasks(tx: Transaction, row: RunRow, commit: Commit) -> None:
    if commit.task_token is not None and not commit.keep_task:
        task = tx.disk.tasks[commit.task_token.task_id]
        tx.remove_task(task)
        if task.task.queue in tx.disk.queues:  # somebody may wait for its slot
            tx.news.tasks(row.run.run_id)
    for ref in commit.drop_tasks:
        dropped = row.tasks.get((ref.kind, ref.key))
        if dropped is not None:
            tx.remove_task(dropped)
            tx.news.tasks(row.run.run_id)
    add_tasks(tx, row, commit.tasks)


def _change_owner(row: RunRow, commit: Commit) -> None:
    if commit.seize:
        row.change(epoch=row.run.epoch + 1, owner=None if commit.release else commit.lease_id)
        row.claimed_seq = row.run.last_seq
    else:
        row.change(owner=None)
    if row.run.owner is not None:
        row.change(wake_at=None)


def _close(tx: Transaction, row: RunRow, commit: Commit) -> None:
    """A closed run keeps its history, state and inbox; what is derived and who owns it go."""
    for task in list(row.tasks.values()):
        tx.remove_task(task)
        tx.news.tasks(row.run.run_id)
    row.timers = ()
    row.blocked_for = ()
    row.change(owner=None, wake_at=None, closed_at=tx.now, condition=commit.condition or Condition.NONE)
    tx.disk.remove_open(row)
    last = commit.events[-1] if commit.events else None
    tx.news.closed(Closing(commit.run_id, row.run.status, last))


def _reach_others(tx: Transaction, row: RunRow, commit: Commit, had_slot: bool) -> tuple[Started, ...]:
    """Start and tell other runs. Starts come first, so that a message can go to what was started beside it."""
    outcomes = [start_from(tx, row, new, had_slot=had_slot) for new in commit.start]
    for message in commit.send:
        deliver_or_drop(tx, message)
    return tuple(outcome for outcome in outcomes if outcome is not None)


def _set_wake(tx: Transaction, row: RunRow, commit: Commit, *, lost_its_owner: bool) -> None:
    """When does a run that nobody owns (any more) want a decider?

    One that its owner released says so itself. One that was taken from its owner, or reopened, wants one at once,
    unless the commit says when. Otherwise the commit can only bring the time forward, never lose it. A blocked run
    wants one for as long as a lease is open that has not tried it: it may have been opened while this one tried it.
    """
    otherwise: int | None = None
    if not commit.release:
        otherwise = 0 if lost_its_owner else row.run.wake_at
    elif row.run.condition is Condition.BLOCKED and not tx.disk.leases.keys() <= set(row.blocked_for):
        otherwise = 0
    tx.wake(row, row.next_wake(otherwise if commit.wake_at is None else commit.wake_at))
