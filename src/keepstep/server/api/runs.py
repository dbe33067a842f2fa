"""Runs: listing, counting, starting and describing them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, UnsetType

from keepstep.client.access.role import Role
from keepstep.client.handle import RunHandle
from keepstep.client.info import history_event
from keepstep.client.paging import RUNS_MAX
from keepstep.client.progress import Surroundings, progress
from keepstep.journal import Journal, NotFound, Run, Status
from keepstep.journal.field import PARENT_RUN_ID
from keepstep.journal.search import OneOf, Search
from keepstep.runtime import history
from keepstep.runtime.blocked import Diff
from keepstep.server.call import Call
from keepstep.server.census import RunCounts, take_census
from keepstep.server.dear import read_dear
from keepstep.server.route import Query, Routes

from .origin import ForkedFrom, forked_from
from .summary import RunSummary, fields_of, summary_of

routes = Routes("runs")

CHILDREN_MAX = 100

Policy = Literal["attach", "reject", "restart"]
Time = Annotated[float, Meta(ge=0)] | str
"""Seconds, or a text such as "90s", "2h" or "7d"."""


class FilterQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs."""

    filter: str | None = None


class ListQuery(FilterQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs, and which page of them."""

    limit: Annotated[int, Meta(ge=1, le=RUNS_MAX)] = 100
    cursor: str | None = None


class RunQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which run of an id; the newest by default."""

    run_id: str | None = None


class RunList(msgspec.Struct, frozen=True):
    """A page of runs."""

    runs: list[RunSummary]
    next: str | None
    """The cursor of the next page; null if there is none."""


class RunCount(msgspec.Struct, frozen=True):
    """How many runs fit."""

    count: int


class GroupQuery(FilterQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs, and by what they are counted."""

    field: str


class Group(msgspec.Struct, frozen=True):
    """How many runs have a value; null stands for those that have none."""

    value: str | int | bool | None
    count: int


class Groups(msgspec.Struct, frozen=True):
    """The most first."""

    groups: list[Group]


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be started, and how."""

    type: str
    """The name of a workflow."""
    input: list[Any] = []
    """Its arguments, in order."""
    id: str | None = None
    """Starting an id again with the same input attaches to the run that is there. By default a new one."""
    queue: str | None = None
    attributes: dict[str, Any] = {}
    if_running: Policy = "attach"
    if_closed: Policy = "attach"
    dedup: str | None = None
    """Instead of an id: while a run of that key is open on the queue, attach to it, whatever its input."""
    delay: Time | None = None
    """Begin it so much later."""
    timeout: Time | None = None
    priority: int | None = None
    """On the queue; small numbers go first."""
    fairness_key: str | None = None


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A run that another one has started."""

    id: str
    run_id: str
    type: str
    status: Status


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The worker that has a run in its memory."""

    lease_id: str
    host: str
    pid: int


class RunDetail(RunSummary, frozen=True, kw_only=True):
    """A run, with what went in, what came out, and why it does not go on."""

    input: Any
    """Its arguments; a text in angle brackets where they are sealed."""
    result: Any | UnsetType = UNSET
    """Of a run that is completed."""
    failure: Any | UnsetType = UNSET
    """Of a run that has failed: type, message, traceback and cause."""
    progress: str
    """What it does or waits for, and what happens next, in sentences, one a line. A line that begins with two spaces
    belongs to the one above it: a command to copy, or a part of a diff."""
    children: list[Child]
    """The newest of them, up to 100."""
    owner: Owner | None
    """Of a run in a worker's memory."""
    is_undone: bool
    """A failed run has undone what it did, so that it cannot be retried."""
    blocked: Diff | None
    """Of a blocked run: what its history has, and what its code asks for instead, and where."""
    forked_from: ForkedFrom | None
    continued_from: str | None
    """Run id of the run of this id that it goes on with."""


@routes.get("/runs", role=Role.READ)
async def list_runs(call: Call, query: ListQuery) -> RunList:
    """List the runs that fit a filter, the newest first unless the filter says otherwise.

    A page may have fewer runs than asked for, and even none, and not be the last; the last one has no `next`.
    """

    async def read() -> msgspec.Raw:
        page = await call.engine.page(query.filter, query.cursor, query.limit)
        found = RunList([summary_of(call.visible(info)) for info in page.runs], page.cursor)
        return msgspec.Raw(msgspec.json.encode(found))

    # As it is written, so that it is written once for all who share it.
    return cast(RunList, await call.desk.shared.read(("runs", query, call.may_answer), read))


@routes.get("/runs/count", role=Role.READ)
async def count_runs(call: Call, query: FilterQuery) -> RunCount:
    """Count the runs that fit a filter."""
    return RunCount(await call.engine.count(query.filter))


@routes.get("/runs/counts", role=Role.READ)
async def count_by_status_and_type(call: Call, query: Query) -> RunCounts:
    """Count all runs by status and by type. The numbers may be some seconds old."""
    return await read_dear(call.engine, "counts", take_census)


@routes.get("/runs/groups", role=Role.READ)
async def count_by_field(call: Call, query: GroupQuery) -> Groups:
    """Count the runs that fit a filter by the values of a field, such as `WorkflowType`, or of an attribute."""
    found = await call.engine.count_by(query.field, query.filter)
    return Groups([Group(value, count) for value, count in found.items()])


@routes.post("/runs", role=Role.OPERATE, statuses=(201, 200), refuses=(409,))
async def start_run(call: Call, query: Query, body: Start) -> RunSummary:
    """Start a run, or attach to the one of that id if type and input are the same.

    Status 201 for a run that was started, 200 for one that was there.
    """
    handle: RunHandle[object] = await call.acting.start(
        body.type,
        *body.input,
        id=body.id,
        queue=body.queue,
        attributes=body.attributes,
        if_running=body.if_running,
        if_closed=body.if_closed,
        dedup=body.dedup,
        delay=body.delay,
        timeout=body.timeout,
        priority=body.priority,
        fairness_key=body.fairness_key,
    )
    call.status = 201 if handle.is_new else 200
    call.location = address_of(handle.id)
    return summary_of(await call.seen(handle))


@routes.get("/runs/{id}", role=Role.READ, refuses=(404,))
async def describe_run(call: Call, id: str, query: RunQuery) -> RunDetail:
    """Tell all of a run but its history: what it waits for, why it does not go on, what went in and came out.

    The id is a workflow id, of which the newest run is meant, or a run id.
    """
    run = await call.find_run(id, query.run_id)
    journal = call.engine.journal
    info = await call.engine.get(run.workflow_id, run.run_id).describe()
    around = await Surroundings.of(journal, info)
    return RunDetail(
        **fields_of(call.visible(info)),
        **await _told_by_history(journal, run),
        progress="\n".join(progress(call.visible(info, "TOKEN"), around)),
        children=await _children(journal, run),
        owner=_owner(around),
        is_undone=around.is_undone,
        blocked=None if info.detail.blocked is None else msgspec.convert(info.detail.blocked, Diff),
        continued_from=run.continued_from,
    )


def address_of(id: str) -> str:
    """Where a run can be found, below the base of the API."""
    return f"/runs/{quote(id, safe='')}"


async def _told_by_history(journal: Journal, run: Run) -> dict[str, Any]:
    """What the run was given, what came out of it, and where it is from."""
    first = await journal.read_events(run.run_id, 0, 1)
    last = await journal.read_events(run.run_id, run.last_seq - 1, 1)
    if not first or not last:
        raise NotFound(f"the history of run {run.run_id} is not there any more; its retention has ended")
    data = history_event(first[0]).data
    values = {
        "input": data.get("sealed", data.get("payload")),
        "forked_from": await forked_from(journal, run, first[0]),
    }
    data = history_event(last[0]).data
    if last[0].type == history.WORKFLOW_COMPLETED:
        values["result"] = data.get("sealed", data.get("payload"))
    elif last[0].type == history.WORKFLOW_FAILED:
        values["failure"] = data.get("sealed", data.get("failure"))
    return values


async def _children(journal: Journal, run: Run) -> list[Child]:
    wanted = Search(OneOf(PARENT_RUN_ID, (run.run_id,)))
    page = await journal.search_runs(run.namespace, wanted, limit=CHILDREN_MAX)
    return [Child(id=each.workflow_id, run_id=each.run_id, type=each.type, status=each.status) for each in page.runs]


def _owner(around: Surroundings) -> Owner | None:
    if around.owner is None:
        return None
    lease = around.owner.lease
    return Owner(lease_id=lease.lease_id, host=lease.process.host, pid=lease.process.pid)
