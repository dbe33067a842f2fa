"""Commits: the expectations are checked first, all of them; only then is anything drawn."""

from __future__ import annotations

import msgspec

from keepstep.journal.commit import Commit, Committed, Started
from keepstep.journal.deed import Deed
from keepstep.journal.errors import Conflict, Fenced, RunClosed
from keepstep.journal.hint import Closing, HintKind
from keepstep.journal.run import Condition, Status
from keepstep.journal.size import check_commit

from . import attribute
from .codes import BLOCKED, CONDITION_CODES, RUNNING, STATUS_CODES, STATUSES, from_json, json_text
from .head import Head
from .picture import Picture, Wants
from .queueing import put_ticket_again
from .start import start_from, want_start
from .task import add_tasks, held_task


def want_commit(wants: Wants, commit: Commit) -> None:
    wants.run_ids.add(commit.run_id)
    if commit.release or commit.consume or commit.inbox_seen is not None:
        wants.inboxes.add(commit.run_id)
    if commit.task_token is not None:
        wants.tasks.append(commit.task_token.task_id)
    for message in commit.send:
        wants.message(message)
    for new in commit.start:
        want_start(wants, new)


def is_plain(commit: Commit) -> bool:
    """Whether the commit only appends events under an epoch: a step's result, the case that must be fast."""
    return (
        commit.epoch is not None
        and commit.version is None
        and commit.status is None
        and not commit.release
        and not commit.consume
        and not commit.state
        and commit.condition is None
        and commit.timers is None
        and commit.detail is None
        and commit.inbox_seen is None
        and not commit.send
        and not commit.start
        and not commit.tasks
        and commit.task_token is None
        and not commit.drop_tasks
        and commit.attributes is None
        and commit.status_text is None
        and commit.id is None
        and commit.deed is None
        and commit.audit is None
        and commit.blocked_for is None
        and not commit.clear_strikes
        and not commit.is_spoken
        and commit.is_progress
        and not commit.seize
        and len(commit.events) > 0
    )


def commit_run(picture: Picture, commit: Commit) -> Committed:
    """Change a run, or raise and change nothing."""
    head = picture.heads.get(commit.run_id) or picture.head(commit.run_id)
    if is_plain(commit):
        return _append(picture, head, commit)
    _check_owner(picture, head, commit)
    _check_version(picture, head, commit)
    _check_inbox(picture, head, commit)
    _check_sends(picture, commit)
    if commit.attributes or commit.start:
        attribute.check_commit(picture, head, commit)
    if commit.deed is not None:
        return _apply_with_deed(picture, head, commit, commit.deed)
    if commit.events:
        picture.check_growth(head, commit.events)
    return _apply(picture, head, commit)


def _apply_with_deed(picture: Picture, head: Head, commit: Commit, deed: Deed) -> Committed:
    """Everything that is expected holds: the deed is done. If what it says cannot be recorded, it is undone."""
    with picture.perform(deed) as made:
        commit = msgspec.structs.replace(commit, events=(*commit.events, *made), deed=None)
        check_commit(commit)
        picture.check_growth(head, commit.events)
    return msgspec.structs.replace(_apply(picture, head, commit), recorded=tuple(made))


def _append(picture: Picture, head: Head, commit: Commit) -> Committed:
    if head.owner is None or head.epoch != commit.epoch:
        raise _fenced(head, commit)
    if commit.first_seq is not None and commit.first_seq != head.last_seq + 1:
        raise _wrong_seq(head, commit)
    picture.check_growth(head, commit.events)
    picture.append(head, commit.events)
    return Committed(head.last_seq + head.bumps, head.last_seq, head.epoch)


def _fenced(head: Head, commit: Commit) -> Fenced:
    return Fenced(f"run {head.run_id} is not owned under epoch {commit.epoch} any more (now {head.epoch}); forget it")


def _wrong_seq(head: Head, commit: Commit) -> Conflict:
    return Conflict(f"the next event of run {head.run_id} gets seq {head.last_seq + 1}, not {commit.first_seq}")


def _check_owner(picture: Picture, head: Head, commit: Commit) -> None:
    if commit.epoch is not None and (head.owner is None or head.epoch != commit.epoch):
        raise _fenced(head, commit)
    if commit.task_token is not None and held_task(picture, commit.task_token, head.run) and not commit.keep_task:
        picture.news.tell(HintKind.TASKS, "")
    if commit.seize and commit.lease_id is not None and picture.lease(commit.lease_id) is None:
        raise Fenced(f"lease {commit.lease_id} is over; it cannot seize run {head.run_id}")


def _check_version(picture: Picture, head: Head, commit: Commit) -> None:
    reopens = commit.version is not None and commit.status is Status.RUNNING
    if not head.is_open() and not reopens:
        status = STATUSES[head.status].value
        raise RunClosed(f"{head.workflow_id!r} (run {head.run_id}) is {status}; nothing can be changed")
    if commit.version is not None and commit.version != head.version():
        raise Conflict(f"run {head.run_id} is at version {head.version()}, not {commit.version}; read it again")
    by_version_alone = commit.epoch is None and commit.task_token is None
    if by_version_alone and head.owner is not None and not commit.seize:
        raise Conflict(f"run {head.run_id} is owned by a lease; seize it, or leave it to its owner")
    if commit.first_seq is not None and commit.first_seq != head.last_seq + 1:
        raise _wrong_seq(head, commit)
    if not head.is_open():
        _check_reopening(picture, head)


def _check_reopening(picture: Picture, head: Head) -> None:
    other = picture.newest(head.namespace, head.workflow_id)
    if other is not None and other.is_open():
        raise Conflict(f"run {head.run_id} cannot be reopened: {head.workflow_id!r} is open as run {other.run_id}")


def _check_inbox(picture: Picture, head: Head, commit: Commit) -> None:
    if commit.inbox_seen is None and not commit.consume:
        return
    inbox = picture.inbox(head)
    newest = max(inbox, default=0)
    if commit.inbox_seen is not None and newest > commit.inbox_seen:
        raise Conflict(f"run {head.run_id} has message {newest}; only those up to {commit.inbox_seen} were seen")
    missing = [n for n in commit.consume if n not in inbox]
    if missing or len(set(commit.consume)) != len(commit.consume):
        raise Conflict(f"message {missing or commit.consume} of run {head.run_id} was consumed before")


def _check_sends(picture: Picture, commit: Commit) -> None:
    arriving: dict[str, int] = {}
    for message in commit.send:
        target = picture.target(message)
        if target is not None and target.is_open():
            arriving[target.run_id] = count = arriving.get(target.run_id, 0) + 1
            picture.check_inbox(target, count)


def _apply(picture: Picture, head: Head, commit: Commit) -> Committed:
    was_open, was_owned = head.is_open(), head.owner is not None
    if commit.status is Status.RUNNING and not was_open:
        picture.write()
    if commit.events:
        _append_events(picture, head, commit)
    else:
        picture.bump(head)
    for change in commit.state:
        picture.set_state(head, change.kind, change.key, change.data)
    if commit.consume:
        picture.consume(head, commit.consume)
    _change_row(picture, head, commit)
    if commit.timers is not None:
        picture.set_timers(head, commit.timers)
    if head.is_open():
        _change_tasks(picture, head, commit)
    if commit.seize or commit.release:
        _change_owner(picture, head, commit)
    had_slot = False
    if was_open and not head.is_open():
        had_slot = bool(commit.start) and head.has_tasks and picture.tables.is_ticket_held(head.run)
        _close(picture, head, commit)
    elif not was_open and head.is_open():
        put_ticket_again(picture, head)
    started = _reach_others(picture, head, commit, had_slot) if commit.start or commit.send else ()
    if head.owner is None and head.is_open():
        _set_wake(picture, head, commit, lost_its_owner=was_owned or not was_open)
    if commit.audit is not None:
        picture.drawing.audit += (head.run, picture.now, commit.audit)
    if commit.id is not None:
        picture.drawing.commit_ids += (head.run, commit.id, picture.now)
    return Committed(head.version(), head.last_seq, head.epoch, started)


def _append_events(picture: Picture, head: Head, commit: Commit) -> None:
    had_progress = head.last_seq > head.claimed_seq
    picture.append(head, commit.events)
    if not commit.is_progress and not had_progress:
        head.claimed_seq = head.last_seq
        picture.change(head)
    if commit.is_spoken:
        picture.news.tell(HintKind.SPOKEN, head.run_id)


def _change_row(picture: Picture, head: Head, commit: Commit) -> None:
    before = head.dirty
    head.dirty = False
    if commit.status is not None:
        _change_status(picture, head, commit.status)
    if commit.condition is not None and CONDITION_CODES[commit.condition] != head.condition:
        head.condition = CONDITION_CODES[commit.condition]
        head.dirty = True
    _change_blocked_for(picture, head, commit)
    if commit.detail is not None:
        head.detail = commit.detail
        head.dirty = True
    if commit.status_text is not None:
        head.status_text = commit.status_text
        head.dirty = True
    if commit.attributes is not None:
        attribute.change(picture, head, commit.attributes)
        head.dirty = True
    if commit.clear_strikes and head.strikes:
        head.strikes = 0
        head.dirty = True
    changed, head.dirty = head.dirty, before
    if changed:
        picture.change(head)


def _change_status(picture: Picture, head: Head, status: Status) -> None:
    code = STATUS_CODES[status]
    if code == head.status:
        return
    head.status = code
    head.closed_at = 0 if code == RUNNING else picture.now
    head.dirty = True
    picture.change_newest(head)


def _change_blocked_for(picture: Picture, head: Head, commit: Commit) -> None:
    """Note which leases have tried a blocked run in vain; those that are over do not count any more."""
    if commit.condition not in (None, Condition.BLOCKED):
        if head.blocked_for is not None:
            head.blocked_for = None
            head.dirty = True
    elif commit.blocked_for is not None and head.condition == BLOCKED:
        tried = [*_tried(head), commit.blocked_for]
        head.blocked_for = json_text([each for each in _open_leases(picture) if each in tried])
        head.dirty = True


def _tried(head: Head) -> list[str]:
    return [] if head.blocked_for is None else from_json(head.blocked_for)


def _open_leases(picture: Picture) -> list[str]:
    return picture.tables.open_leases()


def _change_tasks(picture: Picture, head: Head, commit: Commit) -> None:
    if commit.task_token is not None and not commit.keep_task:
        picture.tables.delete_task(commit.task_token.task_id)
    for ref in commit.drop_tasks:
        picture.tables.drop_task(head.run, ref.kind, ref.key)
        picture.news.tell(HintKind.TASKS, "")  # somebody may wait for its slot
    if commit.tasks:
        add_tasks(picture, head, commit.tasks)


def _change_owner(picture: Picture, head: Head, commit: Commit) -> None:
    head.owner = None
    if commit.seize:
        head.epoch += 1
        head.claimed_seq = head.last_seq
        if not commit.release and commit.lease_id is not None:
            head.owner = picture.lease(commit.lease_id)
            head.wake_at = None
    picture.change(head)


def _close(picture: Picture, head: Head, commit: Commit) -> None:
    """A closed run keeps its history, state and inbox; what is derived and who owns it go."""
    if head.has_tasks:
        picture.clear_tasks(head)
        picture.news.tell(HintKind.TASKS, "")
    if head.timer_at is not None:
        picture.set_timers(head, ())
    head.owner = head.wake_at = head.blocked_for = None
    head.condition = CONDITION_CODES[commit.condition or Condition.NONE]
    picture.change(head)
    last = commit.events[-1] if commit.events else None
    picture.news.closed(Closing(head.run_id, STATUSES[head.status], last))


def _reach_others(picture: Picture, head: Head, commit: Commit, had_slot: bool) -> tuple[Started, ...]:
    """Start and tell other runs. Starts come first, so that a message can go to what was started beside it."""
    outcomes = [start_from(picture, head, new, had_slot=had_slot) for new in commit.start]
    for message in commit.send:
        target = picture.target(message)
        if target is not None and target.is_open():
            picture.deliver(target, message)
    return tuple(outcome for outcome in outcomes if outcome is not None)


def _set_wake(picture: Picture, head: Head, commit: Commit, *, lost_its_owner: bool) -> None:
    """When does a run that nobody owns (any more) want a decider?

    One that its owner released says so itself. One that was taken from its owner, or reopened, wants one at once,
    unless the commit says when. Otherwise the commit can only bring the time forward, never lose it. A blocked run
    wants one for as long as a lease is open that has not tried it: it may have been opened while this one tried it.
    """
    otherwise: int | None = None
    if not commit.release:
        otherwise = 0 if lost_its_owner else head.wake_at
    elif head.condition == BLOCKED and not set(_open_leases(picture)) <= set(_tried(head)):
        otherwise = 0
    picture.wake(head, picture.next_wake(head, otherwise if commit.wake_at is None else commit.wake_at))
