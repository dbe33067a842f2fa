"""Tasks: work on queues, claimed under tokens. Changed directly, not by the picture: no flush has many of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keepstep.journal.errors import Fenced
from keepstep.journal.hint import HintKind
from keepstep.journal.task import NewTask, Task, TaskToken

from . import statements as sql
from .head import Head
from .page import read_named
from .picture import Picture
from .rows import from_json, json_text, tasks_of


def add_tasks(picture: Picture, head: Head, tasks: Iterable[NewTask]) -> None:
    """Put tasks on their queues. One whose (run, kind, key) exists is left as it is."""
    for new in tasks:
        owner = None if new.lease_id is None else picture.lease(new.lease_id)
        named = (head.run, new.kind, new.key, new.queue, new.data)
        order = (new.priority, new.fairness_key, new.fairness_weight, new.visible_at, new.deadline)
        held = (new.attempt, new.fallback_queue, owner, 0 if owner is None else 1)
        added = picture.connection.execute(sql.INSERT_TASK, (*named, *order, *held))
        head.has_tasks = True
        if added.rowcount and owner is None and new.visible_at <= picture.now:
            picture.news.tell(HintKind.TASKS, head.run_id)


def held_task(picture: Picture, token: TaskToken, run: int | None = None) -> int:
    """The run of the task that is held under this token. Raises ``Fenced``."""
    row = picture.connection.execute(sql.TASK, (token.task_id,)).fetchone()
    if row is None or row[1] is None or row[2] != token.epoch or run not in (None, row[0]):
        raise Fenced(
            f"task {token.task_id} is not held under epoch {token.epoch} any more: it was done, dropped or taken over"
        )
    return int(row[0])


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
    asked: dict[str, object] = {
        "queues": json_text(queues),
        "kinds": json_text(kinds),
        "now": picture.now,
        "limit": max(limit, 0),
    }
    (fair,) = picture.connection.execute(sql.ANY_FAIR_TASKS).fetchone()
    if fair:
        statement = sql.CLAIMABLE_TASKS_BY_TURN
    else:
        statement = sql.claimable_tasks(len(queues))
        asked |= {f"queue{i}": queue for i, queue in enumerate(queues)}
    (chosen,) = picture.connection.execute(statement, asked).fetchone()
    task_ids: list[int] = from_json(chosen)
    if not task_ids:
        return []
    picture.connection.execute(sql.OWN_TASKS, (chosen, lease))

    def read(some: Sequence[int]) -> list[Task]:
        return tasks_of(picture.connection.execute(sql.READ_TASKS, (json_text(some),)).fetchone()[0])

    return read_named(read, task_ids)


def release_task(picture: Picture, release: tuple[TaskToken, int, int, bytes | None]) -> None:
    """Put a held task back on its queue."""
    token, visible_at, attempt, data = release
    held_task(picture, token)
    picture.connection.execute(sql.RELEASE_TASK, (token.task_id, visible_at, attempt, data))
    if visible_at <= picture.now:
        picture.news.tell(HintKind.TASKS, "")
