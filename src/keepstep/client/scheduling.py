"""Scheduling: what ``Engine.schedule`` is asked for, checked as a start is and before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from keepstep.journal import AlreadyStarted, InvalidInput, Run
from keepstep.journal.limits import WORKFLOW_ID_CHARS_MAX
from keepstep.runtime.data import Duration, checked_name, plain_attributes, plain_text, to_seconds
from keepstep.runtime.interceptor import checked_headers
from keepstep.runtime.step import checked_priority
from keepstep.schedules.changing import change, create, find, read_standing
from keepstep.schedules.overlap import overlap_of
from keepstep.schedules.plan import Action, Opening, Plan
from keepstep.schedules.spec import Spec, read_spec
from keepstep.schedules.standing import Standing, slim

from .attributes import admit
from .start import start_request

if TYPE_CHECKING:
    from .engine import Engine

ID_CHARS_MAX = WORKFLOW_ID_CHARS_MAX - 60
"""The ids of the started runs begin with that of their schedule."""

SPEC_WORDS = ("cron", "every", "calendar", "offset", "exclude", "tz", "start_at", "end_at", "jitter")
SOURCES = ("cron", "every", "calendar")


def checked_id(id: str) -> str:
    return checked_name(id, "the id of a schedule", ID_CHARS_MAX)


async def make_plan(
    engine: Engine,
    workflow: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    spec: Spec,
    overlap: str,
    catchup: Duration,
    limit: int | None,
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> Plan:
    """The plan of what was given (``options``: see ``with_options``). Raises ``InvalidInput`` for what does not fit."""
    action = await read_action(engine, workflow, args, kwargs, **options)
    return Plan(
        spec=spec,
        action=msgspec.structs.replace(action, headers=checked_headers(headers)) if headers else action,
        overlap=overlap_of(overlap),
        catchup=read_catchup(catchup),
        limit=read_limit(limit),
    )


async def read_action(
    engine: Engine,
    workflow: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    queue: str | None,
    **options: Any,
) -> Action:
    """What firings start (``options``: see ``with_options``). Raises ``InvalidInput`` for arguments that do not fit."""
    request = await start_request(workflow, args, kwargs, engine.published)
    made = Action(
        type=request.name,
        arguments=request.arguments,
        offered_on=request.offered_on(None),
        published_timeout=request.timeout_seconds,
        version=request.version,
    )
    made = await with_options(engine, made, queue=queue, **options)
    return made if queue is None else msgspec.structs.replace(made, offered_on=request.offered_on(queue))


async def with_options(
    engine: Engine,
    action: Action,
    *,
    queue: str | None,
    priority: int | None,
    fairness_key: str | None,
    attributes: Any,
    timeout: Duration | None,
) -> Action:
    """The same action with other options of the started runs. Raises ``InvalidInput``, ``AttributeRefused``."""
    name = None if queue is None else checked_name(queue, "the queue of a schedule")
    attributes = plain_attributes(attributes)
    await admit(engine.journal, engine.namespace, attributes)
    return msgspec.structs.replace(
        action,
        queue=name,
        priority=None if priority is None else checked_priority(priority, "the priority of a schedule"),
        fairness_key=None if fairness_key is None else checked_name(fairness_key, "the fairness_key of a schedule"),
        offered_on=name or action.offered_on,
        attributes=attributes,
        timeout=None if timeout is None else to_seconds(timeout),
    )


def read_catchup(value: Duration) -> int:
    try:
        return round(to_seconds(value) * 1e6)
    except InvalidInput as error:
        raise InvalidInput(f"catchup: {error}") from None


def read_limit(value: int | None) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InvalidInput(f"limit is how many runs are started at most, from 1 on, or None, not {value!r:.60}")
    return value


async def schedule(engine: Engine, id: str, plan: Plan, *, paused: bool, note: str, if_exists: str) -> None:
    """Make a schedule, or attach to the one that is there if its plan is the same."""
    if if_exists not in ("attach", "update"):
        raise InvalidInput(f'if_exists is "attach" or "update", not {if_exists!r:.60}')
    opening = Opening(plan=plan, paused=paused, note=plain_text(note, "the note of a schedule"))
    started = await create(engine.journal, engine.namespace, checked_id(id), opening, engine.new_id())
    if started.created:
        return
    standing = await read_standing(engine.journal, await find(engine.journal, engine.namespace, id))
    if _said(standing.plan) == _said(slim(plan)):
        return
    if if_exists == "update":
        await replace_plan(engine, id, plan)
        return
    raise AlreadyStarted(
        f"a schedule with the id {id!r} exists already and is another one; change it by "
        f'engine.get_schedule({id!r}).update(...), or give if_exists="update"'
    )


def _said(plan: Plan) -> Plan:
    """What was published of the workflow's code is no part of what the caller has said, nor are headers."""
    action = msgspec.structs.replace(plan.action, offered_on="", version="", published_timeout=None, headers={})
    return msgspec.structs.replace(plan, action=action)


class Seen(NamedTuple):
    """Which plan of which schedule of a name somebody has read."""

    run_id: str
    plan_seq: int


class _Superseded(Exception):
    """Somebody else has changed the plan since it was read."""


async def replace_plan(engine: Engine, id: str, plan: Plan, seen: Seen | None = None) -> bool:
    """Let a schedule do something else from now on. What was due and not begun of another spec is not made up.

    ``seen``: the plan that this one was made of. False if there is another one by now, which would be undone.
    """
    now = engine.journal.clock.now()

    def edit(standing: Standing, run: Run) -> Standing:
        if seen not in (None, Seen(run.run_id, standing.plan_seq)):
            raise _Superseded
        changes: dict[str, Any] = {"plan": slim(plan), "plan_seq": run.last_seq + 1}
        if plan.spec != standing.plan.spec:
            changes["after"] = max(standing.after, now)
        if plan.limit != standing.plan.limit:
            changes["left"] = plan.limit
        return msgspec.structs.replace(standing, **changes)

    try:
        await change(engine.journal, engine.namespace, id, edit, "update", plan)
        return True
    except _Superseded:
        return False


def changed_spec(there: Spec, words: Mapping[str, Any]) -> Spec:
    """A spec with some of its words replaced; those that say when it fires replace each other."""
    if not words:
        return there
    if not set(words) & set(SOURCES):
        every = [each / 1e6 for each in there.every]
        words = {**words, "every": every, "cron": there.cron, "calendar": there.calendars}
    kept = {
        "offset": there.offset / 1e6,
        "exclude": there.exclude,
        "tz": there.tz,
        "jitter": there.jitter / 1e6,
    }
    fresh = read_spec(**{**kept, **words})
    unsaid = {name: getattr(there, name) for name in ("start_at", "end_at") if name not in words}
    return msgspec.structs.replace(fresh, **unsaid)
