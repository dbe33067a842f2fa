"""People: the tasks that wait for them. One is completed by its token, as a callback is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from keepstep.client.access.role import Role
from keepstep.runtime.callback import parse_token
from keepstep.runtime.human_task import HumanTask
from keepstep.server.call import Call
from keepstep.server.route import Routes

from .runs import FilterQuery

routes = Routes("people")

TASKS_MAX = 1000


class TaskQuery(FilterQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tasks: a filter has the fields Assignee, Title and Due."""

    limit: Annotated[int, Meta(ge=1, le=TASKS_MAX)] = 100


class TaskForPerson(msgspec.Struct, frozen=True, kw_only=True):
    """An open task."""

    title: str
    form: dict[str, Any]
    """JSON schema of the answer."""
    assignee: str | None
    due: datetime | None
    token: str
    """What completes it: POST /callbacks/{token}. Empty for who may only read."""
    run_id: str
    """Of the run that waits."""

    @classmethod
    def of(cls, task: HumanTask, *, shows_token: bool) -> TaskForPerson:
        return cls(
            title=task.title,
            form=task.form,
            assignee=task.assignee,
            due=task.due,
            token=task.token if shows_token else "",
            run_id=parse_token(task.token)[0],
        )


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest first."""

    tasks: list[TaskForPerson]


@routes.get("/human-tasks", role=Role.READ)
async def list_human_tasks(call: Call, query: TaskQuery) -> TaskList:
    """List the open tasks for people that fit a filter, the oldest first."""
    shows = call.may_answer
    found = [task async for task in call.engine.human_tasks(query.filter, query.limit)]
    return TaskList(tasks=[TaskForPerson.of(task, shows_token=shows) for task in found])
