"""ScheduleHandle: one schedule, as application code holds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from keepstep.journal import Conflict, InvalidInput, NotFound, Overloaded, Run, Status
from keepstep.journal.limits import WORKFLOW_ID_CHARS_MAX
from keepstep.runtime.data import Duration, checked_name, plain_text
from keepstep.schedules.changing import TRIES_MAX, change, delete, find, read_standing
from keepstep.schedules.guest import room_of
from keepstep.schedules.history import ScheduleEvent, history_of
from keepstep.schedules.info import ScheduleInfo, schedule_info
from keepstep.schedules.overlap import overlap_of
from keepstep.schedules.plan import Action, Plan, decode_opening
from keepstep.schedules.spec import moment_given
from keepstep.schedules.standing import ASKED_MAX, Backfill, Pending, Standing, has_arguments

from .scheduling import (
    SPEC_WORDS,
    Seen,
    changed_spec,
    read_action,
    read_catchup,
    read_limit,
    replace_plan,
    with_options,
)

if TYPE_CHECKING:
    from .engine import Engine

S = TypeVar("S", bound=msgspec.Struct)

UNSET: Any = msgspec.UNSET
PAGE = 200


class ScheduleHandle:
    """A schedule. All its methods raise ``NotFound`` if there is none of that id."""

    def __init__(self, engine: Engine, id: str) -> None:
        self._engine = engine
        self._journal = engine.journal
        self.id = id

    def __repr__(self) -> str:
        return f"<schedule {self.id}>"

    async def describe(self) -> ScheduleInfo:
        """What it does, when it fires next, and what has become of its last firings."""
        return await describe(self._engine, await find(self._journal, self._engine.namespace, self.id))

    async def history(self) -> AsyncIterator[ScheduleEvent]:
        """What was done to it and what it did, its last thousand turns, in the order of time; also of a deleted one."""
        run = await self._journal.find_run(room_of(self._engine.namespace), self.id)
        if run is None:
            raise NotFound(f"there was no schedule with the id {self.id!r} in namespace {self._engine.namespace!r}")
        loaded = await self._journal.load(run.run_id)
        for event in history_of(loaded, await self._journal.read_audit(run.run_id)):
            yield event

    async def pause(self, note: str = "") -> None:
        """Let nothing be started by the calendar. What would have been in the meantime is left out, not made up."""
        said = plain_text(note, "the note of a schedule")
        await self._change(lambda standing: _replaced(standing, paused=True, note=said), f"pause: {note}")

    async def resume(self, note: str = "") -> None:
        """Go on, from now."""
        said = plain_text(note, "the note of a schedule")
        now = self._journal.clock.now()

        def edit(standing: Standing) -> Standing:
            after = max(standing.after, now) if standing.paused else standing.after
            return _replaced(standing, paused=False, note=said, after=after)

        await self._change(edit, f"resume: {note}")

    async def trigger(self, overlap: str | None = None, *, id: str | None = None) -> str:
        """Fire once, now, also while it is paused; the id that the run gets, if ``overlap`` lets it start.

        :param overlap: what to do if a run goes on; by default what the schedule says. :param id: of the run. There is
            one of it at most, so that whoever does not know whether an earlier call went through may ask again.
        """
        rule = None if overlap is None else overlap_of(overlap)
        now = self._journal.clock.now()
        if id is None:
            id = f"{self.id}-trigger-{self._engine.new_id()}"
        asked_for = checked_name(id, "the id of a run", WORKFLOW_ID_CHARS_MAX)

        def edit(standing: Standing) -> Standing:
            asked = Pending(
                nominal=now, due=now, overlap=rule or standing.plan.overlap, id=asked_for, by_hand=True
            )  # fmt: skip
            return _replaced(standing, asked=(*_with_room(self.id, standing).asked, asked))

        await self._change(edit, "trigger")
        return asked_for

    async def backfill(self, start: datetime, end: datetime, overlap: str = "buffer_all") -> None:
        """Make up for the firings from ``start`` to ``end``, both included, that have not happened.

        A firing whose run is there, in whatever state, is not done a second time. By default they are done one after
        the other; ``overlap="allow"`` does them all at once. The limit and a pause do not count for them.
        """
        first, last = moment_given(start, "start"), moment_given(end, "end")
        if first is None or last is None or last < first:
            raise InvalidInput(f"a backfill goes from a start to an end after it, not from {start!r} to {end!r}")
        wanted = Backfill(first - 1, last, overlap_of(overlap))
        await self._change(
            lambda standing: _replaced(standing, backfills=(*_with_room(self.id, standing).backfills, wanted)),
            f"backfill: {start.isoformat()} to {end.isoformat()}",
        )

    async def update(
        self,
        /,
        *,
        workflow: Any = UNSET,
        args: tuple[Any, ...] = UNSET,
        overlap: str = UNSET,
        catchup: Duration = UNSET,
        limit: int | None = UNSET,
        queue: str | None = UNSET,
        priority: int | None = UNSET,
        fairness_key: str | None = UNSET,
        attributes: dict[str, Any] | None = UNSET,
        timeout: Duration | None = UNSET,
        **spec: Any,
    ) -> None:
        """Change what is given, and leave the rest: ``await schedule.update(cron="0 10 * * *")``.

        ``cron``, ``every`` and ``calendar`` replace each other. With another time, it goes on from now.
        """
        if unknown := sorted(set(spec) - set(SPEC_WORDS)):
            raise InvalidInput(f"update does not know {', '.join(unknown)}; a spec has: {', '.join(SPEC_WORDS)}")
        options = {
            "queue": queue,
            "priority": priority,
            "fairness_key": fairness_key,
            "attributes": attributes,
            "timeout": timeout,
        }
        fields = dict[str, Any]()
        if overlap is not UNSET:
            fields["overlap"] = overlap_of(overlap)
        if catchup is not UNSET:
            fields["catchup"] = read_catchup(catchup)
        if limit is not UNSET:
            fields["limit"] = read_limit(limit)
        for _ in range(TRIES_MAX):
            seen, there = await self._plan()
            action = await self._changed_action(there.action, workflow, args, **options)
            plan = _replaced(there, action=action, spec=changed_spec(there.spec, spec), **fields)
            if plan == there or await replace_plan(self._engine, self.id, plan, seen):
                return
        raise Conflict(f"schedule {self.id!r} changes too quickly to be updated; try again")

    async def _changed_action(self, there: Action, workflow: Any, args: Any, **given: Any) -> Action:
        """What it starts, with what is given of it replaced. Another workflow comes with its own arguments."""
        options = {name: getattr(there, name) if value is UNSET else value for name, value in given.items()}
        if workflow is not UNSET or args is not UNSET:
            name, values = there.type if workflow is UNSET else workflow, () if args is UNSET else args
            changed = await read_action(self._engine, name, values, {}, **options)
            return msgspec.structs.replace(changed, headers=there.headers)
        return await with_options(self._engine, there, **options)

    async def delete(self) -> None:
        """End it. What it has started goes on; its id is free."""
        await delete(self._journal, self._engine.namespace, self.id)

    async def _plan(self) -> tuple[Seen, Plan]:
        """What it does, whole, and which of its plans that is."""
        run = await find(self._journal, self._engine.namespace, self.id)
        standing = await read_standing(self._journal, run)
        seen = Seen(run.run_id, standing.plan_seq)
        if has_arguments(standing.plan.action):
            return seen, standing.plan
        [brought] = await self._journal.read_events(run.run_id, standing.plan_seq - 1, 1)
        return seen, decode_opening(brought.data).plan

    async def _change(self, edit: Any, audit: str) -> None:
        await change(self._journal, self._engine.namespace, self.id, lambda standing, _: edit(standing), audit)


def _replaced(struct: S, **changes: Any) -> S:
    return msgspec.structs.replace(struct, **changes)


def _with_room(id: str, standing: Standing) -> Standing:
    if len(standing.asked) + len(standing.backfills) >= ASKED_MAX:
        raise Overloaded(f"schedule {id!r} has {ASKED_MAX} triggers and backfills that are not done; wait for them")
    return standing


async def describe(engine: Engine, run: Run) -> ScheduleInfo:
    """A schedule as it is now, with the states of its last runs."""
    standing = await read_standing(engine.journal, run)
    statuses = dict[str, str]()
    for firing in standing.recent:
        if not firing.outcome and (started := await engine.journal.read_run(firing.run_id)) is not None:
            statuses[firing.run_id] = str(started.status)
    return schedule_info(run, standing, engine.journal.clock.now(), statuses)


async def list_schedules(engine: Engine) -> AsyncIterator[ScheduleInfo]:
    """All schedules of the engine's namespace, the newest first."""
    before: tuple[int, str] | None = None
    while True:
        page = await engine.journal.list_runs(
            room_of(engine.namespace), statuses=(Status.RUNNING,), before=before, limit=PAGE
        )
        for run in page:
            yield await describe(engine, run)
        if len(page) < PAGE:
            return
        before = (page[-1].started_at, page[-1].run_id)
