"""Tasks: work on queues, claimed under tokens. Changed directly, not by the picture: no flush has many of them."""

from __future__ import annotations

from collections.abc import Iterable

from keepstep.journal.errors import Fenced
from keepstep.journal.hint import HintKind
from keepstep.journal.task import NewTask, TaskToken

from .head import Head
from .picture import Picture


def add_tasks(picture: Picture, head: Head, tasks: Iterable[NewTask]) -> None:
    """Put tasks on their queues. One whose (run, kind, key) exists is left as it is."""
    for new in tasks:
        owner = _owner_of(picture, new)
        picture.tables.insert_task(head.run, new, owner)
        if not head.has_tasks:
            head.has_tasks = True
            picture.drawing.moved[head.run_id] = head
        if owner is None and new.visible_at <= picture.now:
            picture.news.tell(HintKind.TASKS, head.run_id)


def _owner_of(picture: Picture, new: NewTask) -> int | None:
    """Who holds it from the beginning: nobody where slots are limited, which only claims take."""
    if new.lease_id is None or picture.tables.lock_queues([new.queue]):
        return None
    return picture.lease(new.lease_id)


def held_task(picture: Picture, token: TaskToken, run: int | None = None) -> bool:
    """Whether somebody may wait for the slot of the task that is held under this token. Raises ``Fenced``."""
    row = picture.tables.find_task(token.task_id)
    if row is None or row[1] is None or row[2] != token.epoch or run not in (None, row[0]):
        raise Fenced(
            f"task {token.task_id} is not held under epoch {token.epoch} any more: it was done, dropped or taken over"
        )
    return row[3]


def release_task(picture: Picture, release: tuple[TaskToken, int, int, bytes | None]) -> None:
    """Put a held task back on its queue."""
    token, visible_at, attempt, data = release
    is_waited_for = held_task(picture, token)
    picture.tables.release_task(token.task_id, visible_at, attempt, data)
    if is_waited_for or visible_at <= picture.now:
        picture.news.tell(HintKind.TASKS, "")
