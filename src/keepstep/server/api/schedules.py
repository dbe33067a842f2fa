"""Schedules: making, changing, pausing and firing them, and what has become of their firings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, UnsetType

from keepstep.client.access.role import Role
from keepstep.client.info import moment, shown_payload
from keepstep.client.schedule import describe
from keepstep.client.scheduling import SPEC_WORDS
from keepstep.journal import Status
from keepstep.schedules.calendar import Calendar
from keepstep.schedules.guest import room_of
from keepstep.schedules.info import FiringInfo, ScheduleInfo
from keepstep.schedules.preview import following
from keepstep.schedules.spec import Spec, read_spec, spec_in_words, timing_of
from keepstep.schedules.zone import local_time
from keepstep.server.call import HIDDEN, Call
from keepstep.server.refusal import Refusal
from keepstep.server.route import Query, Routes

from .runs import Time

routes = Routes("schedules")

SCHEDULES_MAX = 200
PREVIEWED_MAX = 100

Overlap = Literal["skip", "buffer_one", "buffer_all", "cancel", "terminate", "allow"]
Moment = Annotated[datetime, Meta(tz=True)]


class CalendarBody(Calendar, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Local times, field by field: ``{"weekday": "MON-FRI", "hour": 9}``."""


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a schedule fires. What is left out of a change stays."""

    cron: str | list[str] | UnsetType = UNSET
    every: Time | list[Time] | UnsetType = UNSET
    calendar: list[CalendarBody] | UnsetType = UNSET
    offset: Time | UnsetType = UNSET
    exclude: list[date | CalendarBody] | UnsetType = UNSET
    tz: str | UnsetType = UNSET
    start_at: Moment | UnsetType | None = UNSET
    end_at: Moment | UnsetType | None = UNSET
    jitter: Time | UnsetType = UNSET


class PreviewBody(When, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a schedule would fire, and how many firings are to be told."""

    count: Annotated[int, Meta(ge=1, le=PREVIEWED_MAX)] = 10


class Change(When, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a schedule does from now on; what is left out stays."""

    type: str | UnsetType = UNSET
    input: list[Any] | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    catchup: Time | UnsetType = UNSET
    limit: int | UnsetType | None = UNSET
    queue: str | UnsetType | None = UNSET
    priority: int | UnsetType | None = UNSET
    fairness_key: str | UnsetType | None = UNSET
    attributes: dict[str, Any] | UnsetType = UNSET
    timeout: Time | UnsetType | None = UNSET


class NewSchedule(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule that is to be made."""

    id: str
    type: str
    paused: bool = False
    note: str = ""
    if_exists: Literal["attach", "update"] = "attach"


class Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; shown beside the schedule."""

    note: str = ""


class Trigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a firing by hand does while a run goes on, and the id of its run."""

    overlap: Overlap | None = None
    id: str | None = None
    """There is one run of it at most, so that it may be asked for again."""


class BackfillBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which firings are to be made up for."""

    start: Moment
    end: Moment
    overlap: Overlap = "buffer_all"


class ScheduleQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of the schedules."""

    limit: Annotated[int, Meta(ge=1, le=SCHEDULES_MAX)] = 100
    cursor: str | None = None


class SpecOfSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """When it fires. Durations are seconds."""

    cron: list[str]
    every: list[float]
    calendar: list[Calendar]
    exclude: list[Calendar]
    offset: float
    tz: str
    start_at: datetime | None
    end_at: datetime | None
    jitter: float

    @classmethod
    def of(cls, spec: Spec) -> SpecOfSchedule:
        return cls(
            cron=list(spec.cron),
            every=[each / 1e6 for each in spec.every],
            calendar=list(spec.calendars),
            exclude=list(spec.exclude),
            offset=spec.offset / 1e6,
            tz=spec.tz,
            start_at=None if spec.start_at is None else moment(spec.start_at),
            end_at=None if spec.end_at is None else moment(spec.end_at),
            jitter=spec.jitter / 1e6,
        )


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The firings of a schedule that does not exist."""

    when: str
    """In words."""
    upcoming: list[datetime]
    """The next firings from now on, without jitter, with the offset of the schedule's zone; fewer if it ends."""


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """A firing that has happened."""

    id: str
    """Of its run."""
    run_id: str
    scheduled_for: datetime
    due_at: datetime
    """``scheduled_for`` with the jitter."""
    started_at: datetime
    lateness: float
    status: str
    """Of the run; ``exists`` where one of that id was there already and nothing was started, ``gone`` if it is."""

    @classmethod
    def of(cls, info: FiringInfo) -> Firing:
        return cls(
            id=info.id,
            run_id=info.run_id,
            scheduled_for=info.scheduled_for.astimezone(UTC),
            due_at=info.due_at.astimezone(UTC),
            started_at=info.started_at,
            lateness=info.lateness_seconds,
            status=info.status,
        )


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it was when asked."""

    id: str
    type: str
    input: Any | UnsetType = UNSET
    """Arguments of its runs. Left out where they are large."""
    queue: str | None
    priority: int | None
    fairness_key: str | None
    attributes: dict[str, Any]
    timeout: float | None
    when: str
    """In words."""
    spec: SpecOfSchedule
    overlap: str
    catchup: float
    paused: bool
    note: str
    upcoming: list[datetime]
    """The next firings, without jitter; those of a paused schedule are what it would do."""
    recent: list[Firing]
    """The newest last."""
    running: list[str]
    """Ids of runs that go on and that overlapping firings mind."""
    buffered: list[datetime]
    asked: int
    """Triggers and backfills that are still to be begun or done."""
    started: int
    skipped: int
    missed: int
    refused: int
    left: int | None
    created_at: datetime

    @classmethod
    def of(cls, info: ScheduleInfo, decodes: bool) -> Schedule:
        """Where the journal is encrypted, who may not see into it sees the calendar, and no input or note."""
        action = info.action
        given = shown_payload(action.arguments) if action.arguments else UNSET
        return cls(
            id=info.id,
            type=info.workflow,
            input=given if decodes or given is UNSET else HIDDEN,
            queue=info.queue,
            priority=info.priority,
            fairness_key=info.fairness_key,
            attributes=action.attributes,
            timeout=action.timeout,
            when=spec_in_words(info.spec),
            spec=SpecOfSchedule.of(info.spec),
            overlap=info.overlap,
            catchup=info.catchup_seconds,
            paused=info.paused,
            note=info.note if decodes or not info.note else HIDDEN,
            upcoming=_in_utc(info.upcoming),
            recent=list(map(Firing.of, info.recent)),
            running=list(info.running),
            buffered=_in_utc(info.buffered),
            asked=info.asked,
            started=info.started,
            skipped=info.skipped,
            missed=info.missed,
            refused=info.refused,
            left=info.left,
            created_at=info.created_at,
        )


class ScheduleList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of schedules, the newest first."""

    schedules: list[Schedule]
    next: str | None
    """The cursor of the next page; null if there is none."""


class Triggered(msgspec.Struct, frozen=True, kw_only=True):
    """It will fire."""

    run: str
    """The id that the run gets, if ``overlap`` lets it start."""


class EventOfSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a schedule did, or that was done to it."""

    time: datetime
    kind: str
    text: str
    """It in words."""
    scheduled_for: datetime | None
    until: datetime | None
    count: int
    id: str
    """Of the run that it is about."""


class HistoryOfSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """In the order of time."""

    events: list[EventOfSchedule]


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """It is gone."""

    id: str


@routes.get("/schedules", role=Role.READ)
async def list_schedules(call: Call, query: ScheduleQuery) -> ScheduleList:
    """List the schedules, the newest first."""
    engine = call.acting
    before = None if query.cursor is None else _read_cursor(query.cursor)
    page = await engine.journal.list_runs(
        room_of(engine.namespace), statuses=(Status.RUNNING,), before=before, limit=query.limit
    )
    infos = [await describe(engine, run) for run in page]
    following = f"{page[-1].started_at}.{page[-1].run_id}" if len(page) == query.limit else None
    return ScheduleList(schedules=[Schedule.of(each, call.decodes) for each in infos], next=following)


@routes.post("/schedules", role=Role.OPERATE, statuses=(201,), refuses=(409,))
async def create_schedule(call: Call, query: Query, body: NewSchedule) -> Schedule:
    """Start a workflow by the calendar. Said again with the same words it changes nothing."""
    given = _given(body, ("type", "input", "id", "paused", "note", "if_exists"))
    handle = await call.acting.schedule(
        body.id,
        body.type,
        *([] if isinstance(body.input, UnsetType) else body.input),
        paused=body.paused,
        note=body.note,
        if_exists=body.if_exists,
        **given,
    )
    call.location = f"/schedules/{quote(handle.id, safe='')}"
    return await _shown(call, handle.id)


@routes.post("/schedule-preview", role=Role.READ)
async def preview_schedule(call: Call, query: Query, body: PreviewBody) -> Preview:
    """Tell when a schedule would fire, without making it."""
    spec = read_spec(**{name: value for name in SPEC_WORDS if (value := getattr(body, name)) is not UNSET})
    found = following(timing_of(spec), call.engine.journal.clock.now(), body.count)
    return Preview(when=spec_in_words(spec), upcoming=[local_time(spec.tz, each) for each in found])


@routes.get("/schedules/{id}", role=Role.READ)
async def describe_schedule(call: Call, id: str, query: Query) -> Schedule:
    """Tell what a schedule does, when it fires next, and what has become of its last firings."""
    return await _shown(call, id)


@routes.patch("/schedules/{id}", role=Role.OPERATE, refuses=(409,))
async def change_schedule(call: Call, id: str, query: Query, body: Change) -> Schedule:
    """Change what is given, and leave the rest. With another time, it goes on from now."""
    handle = call.acting.get_schedule(id)
    given = _given(body, ("type", "input"))
    if not isinstance(body.type, UnsetType):
        given["workflow"] = body.type
    if not isinstance(body.input, UnsetType):
        given["args"] = tuple(body.input)
    await handle.update(**given)
    return await _shown(call, handle.id)


@routes.delete("/schedules/{id}", role=Role.OPERATE, refuses=(409,))
async def delete_schedule(call: Call, id: str, query: Query) -> Deleted:
    """End a schedule. What it has started goes on; its id is free."""
    await call.acting.get_schedule(id).delete()
    return Deleted(id=id)


@routes.post("/schedules/{id}/pause", role=Role.OPERATE, refuses=(409,))
async def pause_schedule(call: Call, id: str, query: Query, body: Note) -> Schedule:
    """Let nothing be started by the calendar until it is resumed; what would have been is left out, not made up."""
    handle = call.acting.get_schedule(id)
    await handle.pause(body.note)
    return await _shown(call, handle.id)


@routes.post("/schedules/{id}/resume", role=Role.OPERATE, refuses=(409,))
async def resume_schedule(call: Call, id: str, query: Query, body: Note) -> Schedule:
    """Let a schedule go on, from now."""
    handle = call.acting.get_schedule(id)
    await handle.resume(body.note)
    return await _shown(call, handle.id)


@routes.post("/schedules/{id}/trigger", role=Role.OPERATE, statuses=(202,), refuses=(409,))
async def trigger_schedule(call: Call, id: str, query: Query, body: Trigger) -> Triggered:
    """Fire once, now, also while the schedule is paused."""
    return Triggered(run=await call.acting.get_schedule(id).trigger(body.overlap, id=body.id))


@routes.post("/schedules/{id}/backfill", role=Role.OPERATE, statuses=(202,), refuses=(409,))
async def backfill_schedule(call: Call, id: str, query: Query, body: BackfillBody) -> Schedule:
    """Make up for the firings from `start` to `end`, both included, that have not happened."""
    handle = call.acting.get_schedule(id)
    await handle.backfill(body.start, body.end, body.overlap)
    return await _shown(call, handle.id)


@routes.get("/schedules/{id}/history", role=Role.READ, refuses=(409,))
async def read_history_of_schedule(call: Call, id: str, query: Query) -> HistoryOfSchedule:
    """Tell what was done to a schedule and what it did, its last thousand turns; also of one that was deleted."""
    events = [
        EventOfSchedule(
            time=each.time.astimezone(UTC),
            kind=each.kind,
            text=each.text,
            scheduled_for=None if each.scheduled_for is None else each.scheduled_for.astimezone(UTC),
            until=None if each.until is None else each.until.astimezone(UTC),
            count=each.count,
            id=each.id,
        )
        async for each in call.engine.get_schedule(id).history()
    ]
    return HistoryOfSchedule(events=events)


async def _shown(call: Call, id: str) -> Schedule:
    """A schedule, as the caller may see it."""
    return Schedule.of(await call.acting.get_schedule(id).describe(), call.decodes)


def _given(body: Change, apart: Sequence[str]) -> dict[str, Any]:
    """What was said, but for what is handed on otherwise."""
    fields = [name for name in body.__struct_fields__ if name not in apart]
    return {name: value for name in fields if (value := getattr(body, name)) is not UNSET}


def _in_utc(moments: Sequence[datetime]) -> list[datetime]:
    return [each.astimezone(UTC) for each in moments]


def _read_cursor(text: str) -> tuple[int, str]:
    started_at, _, run_id = text.partition(".")
    if not (started_at.isdecimal() and started_at.isascii() and len(started_at) < 19 and run_id):
        message = f"{text!r:.60} is no cursor; give the one that came with the page before, or none for the first"
        raise Refusal(400, "invalid_input", message, field="cursor")
    return int(started_at), run_id
