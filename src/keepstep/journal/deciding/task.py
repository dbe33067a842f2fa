"""Tasks: work on queues, claimed under tokens. Changed directly, not by the picture: no flush has many of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keepstep.journal.errors import Fenced
from keepstep.journal.hint import HintKind
from keepstep.journal.task import NewTask, Task, TaskToken

from .head import Head
from .picture import Picture


def add_tasks(picture: Picture, head: Head, tasks: Iterable[NewTask]) -> None:
    """Put tasks on their queues. One whose (run, kind, key) exists is left as it is."""
    for new in tasks:
        owner = None if new.lease_id is None else picture.lease(new.lease_id)
        picture.tables.insert_task(head.run, new, owner)
        if not head.has_tasks:
            head.has_tasks = True
            picture.drawing.moved[head.run_id] = head
        if owner is None and new.visible_at <= picture.now:
            picture.news.tell(HintKind.TASKS, head.run_id)


def held_task(picture: Picture, token: TaskToken, run: int | None = None) -> int:
    """The run of the task that is held under this token. Raises ``Fenced``."""
    row = picture.tables.find_task(token.task_id)
    if row is None or row[1] is None or row[2] != token.epoch or run not in (None, row[0]):
        raise Fenced(
            f"task {token.task_id} is not held under epoch {token.epoch} any more: it was done, dropped or taken over"
        )
    return row[0]


def claim_tasks(picture: Picture, claim: tuple[str, Sequence[str], Sequence[str], int]) -> list[Task]:
    """Own up to ``limit`` visible tasks: by priority, then by each fairness key's turn, then by age."""
    lease_id, queues, kinds, limit = claim
    queues = list(dict.fromkeys(queues))
    lease = picture.lease(lease_id)
    if lease is None:
        raise Fenced(f"lease {lease_id} is over; open another")
    if not queues:
        return []
    picture.write()
    return picture.tables.claim_tasks(lease, queues, kinds, picture.now, max(limit, 0))


def release_task(picture: Picture, release: tuple[TaskToken, int, int, bytes | None]) -> None:
    """Put a held task back on its queue."""
    token, visible_at, attempt, data = release
    held_task(picture, token)
    picture.tables.release_task(token.task_id, visible_at, attempt, data)
    if visible_at <= picture.now:
        picture.news.tell(HintKind.TASKS, "")
