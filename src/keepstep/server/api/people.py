"""People: the tasks that wait for them. One is completed by its token, as a callback is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from keepstep.client.access.role import Role
from keepstep.journal import Run
from keepstep.runtime.callback import parse_token
from keepstep.runtime.human_task import HumanTask
from keepstep.server.call import Call
from keepstep.server.changes import read_mark, write_mark
from keepstep.server.decisions import DecisionPage, read_decisions
from keepstep.server.route import Query, Routes

from .runs import FilterQuery

routes = Routes("people")

TASKS_MAX = 1000


class TaskQuery(FilterQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tasks: a filter has the fields Assignee, Title and Due."""

    limit: Annotated[int, Meta(ge=1, le=TASKS_MAX)] = 100


class DecisionQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which stretch."""

    cursor: str | None = None


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
    id: str
    """Its workflow id."""
    type: str

    @classmethod
    def of(cls, task: HumanTask, run: Run | None, *, shows_token: bool) -> TaskForPerson:
        return cls(
            title=task.title,
            form=task.form,
            assignee=task.assignee,
            due=task.due,
            token=task.token if shows_token else "",
            run_id=_run_of(task),
            id="" if run is None else run.workflow_id,
            type="" if run is None else run.type,
        )


def _run_of(task: HumanTask) -> str:
    return parse_token(task.token)[0]


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest first."""

    tasks: list[TaskForPerson]


@routes.get("/human-tasks", role=Role.READ)
async def list_human_tasks(call: Call, query: TaskQuery) -> TaskList:
    """List the open tasks for people that fit a filter, the oldest first."""
    shows = call.may_answer
    found = [task async for task in call.engine.human_tasks(query.filter, query.limit)]
    runs = {run_id: await call.engine.journal.read_run(run_id) for run_id in dict.fromkeys(map(_run_of, found))}
    return TaskList(tasks=[TaskForPerson.of(task, runs[_run_of(task)], shows_token=shows) for task in found])


@routes.get("/human-tasks/decisions", role=Role.READ)
async def list_decisions(call: Call, query: DecisionQuery) -> DecisionPage:
    """List how tasks for people were decided, and by whom, the newest first, one stretch of the log at a time.

    A page may be empty and have a `next` all the same: in that stretch nothing was decided.
    """
    places = None if query.cursor is None else read_mark(query.cursor, "cursor")
    decisions, before = await read_decisions(call.engine.journal, call.engine.namespace, places)
    return DecisionPage(decisions=decisions, next=write_mark(before) if before else None)
