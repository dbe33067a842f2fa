"""Info: a schedule as callers see it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from keepstep.journal import Run

from .overlap import Overlap
from .plan import Action
from .preview import following
from .spec import Spec, timing_of
from .standing import Firing, Standing
from .zone import local_time

UPCOMING = 10


class FiringInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A firing that has happened. Times are aware, in the schedule's zone."""

    id: str
    """Of its run."""
    run_id: str
    scheduled_for: datetime
    due_at: datetime
    """``scheduled_for`` with the jitter."""
    started_at: datetime
    lateness_seconds: float
    status: str
    """Of the run; ``exists`` where one of that id was there already and nothing was started."""


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it was when asked."""

    id: str
    workflow: str
    queue: str | None
    priority: int | None
    fairness_key: str | None
    spec: Spec
    overlap: Overlap
    catchup_seconds: float
    paused: bool
    note: str
    upcoming: tuple[datetime, ...]
    """The next firings, without jitter; those of a paused schedule are what it would do."""
    recent: tuple[FiringInfo, ...]
    """The newest last."""
    running: tuple[str, ...]
    """Ids of runs that go on and that overlapping firings mind."""
    buffered: tuple[datetime, ...]
    """Firings that wait for a run to end."""
    asked: int
    """Triggers and backfills that are still to be begun or done."""
    started: int
    skipped: int
    missed: int
    """Firings that were late by more than the catch-up window; of one outage, a thousand at most are counted."""
    refused: int
    left: int | None
    created_at: datetime
    action: Action

    @property
    def tz(self) -> str:
        """The zone of its times."""
        return self.spec.tz


def schedule_info(run: Run, standing: Standing, now: int, statuses: dict[str, str]) -> ScheduleInfo:
    """What callers are told. ``statuses``: of recent runs, by run id, as far as the standing does not know."""
    plan, zone = standing.plan, standing.plan.spec.tz
    ends = standing.left == 0
    ahead = [] if ends else following(timing_of(plan.spec), max(standing.after, now), UPCOMING)
    if standing.left is not None:
        ahead = ahead[: standing.left]
    return ScheduleInfo(
        id=run.workflow_id,
        workflow=plan.action.type,
        queue=plan.action.queue,
        priority=plan.action.priority,
        fairness_key=plan.action.fairness_key,
        spec=plan.spec,
        overlap=plan.overlap,
        catchup_seconds=plan.catchup / 1e6,
        paused=standing.paused,
        note=standing.note,
        upcoming=tuple(local_time(zone, each) for each in ahead),
        recent=tuple(_firing_info(each, zone, statuses) for each in standing.recent),
        running=tuple(each.id for each in standing.running),
        buffered=tuple(local_time(zone, each.nominal) for each in standing.buffered),
        asked=len(standing.asked) + len(standing.backfills),
        started=standing.started,
        skipped=standing.skipped,
        missed=standing.missed,
        refused=standing.refused,
        left=standing.left,
        created_at=datetime.fromtimestamp(run.started_at / 1e6, UTC),
        action=plan.action,
    )


def _firing_info(firing: Firing, zone: str, statuses: dict[str, str]) -> FiringInfo:
    return FiringInfo(
        id=firing.id,
        run_id=firing.run_id,
        scheduled_for=local_time(zone, firing.nominal),
        due_at=local_time(zone, firing.due),
        started_at=datetime.fromtimestamp(firing.started / 1e6, UTC),
        lateness_seconds=(firing.started - firing.due) / 1e6,
        status=firing.outcome or statuses.get(firing.run_id, "gone"),
    )
