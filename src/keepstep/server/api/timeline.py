"""Timeline: a run's history as spans of time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from keepstep.client.access.role import Role
from keepstep.client.info import moment
from keepstep.client.timeline import Span, asked_before, timeline_of
from keepstep.journal import Journal
from keepstep.server.call import Call
from keepstep.server.route import Routes

from .history import Seq, stretch_of
from .runs import RunQuery

routes = Routes("runs")

EVENTS_MAX = 5000
EARLIER_MAX = 200
"""Events before the stretch that are looked up, to say when what ends in it was asked for."""


class TimelineQuery(RunQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which stretch of the history, as for the history itself; ``limit`` counts events."""

    after: Seq | None = None
    before: Seq | None = None
    limit: Annotated[int, Meta(ge=1, le=EVENTS_MAX)] = EVENTS_MAX


class TimelineOfRun(msgspec.Struct, frozen=True, kw_only=True):
    """Spans in the order in which they were recorded, and behind them those of what the run waits for."""

    spans: list[Span]
    now: datetime
    """The engine's time, up to which what is open has gone on."""
    first_seq: int
    """Of the stretch of the history that this is made of; 0 if it has no event."""
    last_seq: int
    total: int
    """How many events the run has."""
    more_waits: int
    """How many things it waits for beside those that are here."""


@routes.get("/runs/{id}/timeline", role=Role.READ, refuses=(404,))
async def read_timeline(call: Call, id: str, query: TimelineQuery) -> TimelineOfRun:
    """Tell what a run has done, and waits for, as spans of time: steps, timers, signals, children, callbacks, updates.

    Of a history that is longer than `limit` events, read it page by page, as the history: a span that begins in one
    page and ends in another is in both, under the same key.
    """
    journal = call.engine.journal
    run = await call.find_run(id, query.run_id)
    info = await call.engine.get(run.workflow_id, run.run_id).describe()
    after, limit = stretch_of(run, query.after, query.before, query.limit)
    events = await journal.read_events(run.run_id, after, limit) if limit > 0 else []
    last = events[-1].seq if events else 0
    total = max(info.events, last)
    times = await _times_of(journal, run.run_id, asked_before(events)[-EARLIER_MAX:])
    spans = timeline_of(info if last == total else None, events, times)
    return TimelineOfRun(
        spans=spans,
        now=moment(journal.clock.now()),
        first_seq=events[0].seq if events else 0,
        last_seq=last,
        total=total,
        more_waits=info.detail.more if last == total else 0,
    )


async def _times_of(journal: Journal, run_id: str, seqs: list[int]) -> dict[int, datetime]:
    found = [event for seq in seqs for event in await journal.read_events(run_id, seq - 1, 1)]
    return {event.seq: moment(event.time) for event in found}
