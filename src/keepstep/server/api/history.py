"""History: the events of a run, page by page, in both directions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from keepstep.client.access.role import Role
from keepstep.client.info import HistoryEvent, history_event
from keepstep.journal import Run
from keepstep.runtime.history import CALLBACK_CREATED
from keepstep.server.call import Call
from keepstep.server.refusal import Refusal
from keepstep.server.route import Routes

from .runs import RunQuery

routes = Routes("runs")

EVENTS_MAX = 1000
SEQ_MAX = 2**53
"""What every JSON reader takes for a whole number."""

Seq = Annotated[int, Meta(ge=0, le=SEQ_MAX)]


class HistoryQuery(RunQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page: the events behind ``after``, or the last ones before ``before``."""

    after: Seq | None = None
    before: Seq | None = None
    limit: Annotated[int, Meta(ge=1, le=EVENTS_MAX)] = 100


class EventOfRun(msgspec.Struct, frozen=True, kw_only=True):
    """One event, in words that need no code of the run."""

    seq: int
    type: str
    time: datetime
    key: str | None
    data: dict[str, Any]


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events in the order of their seqs."""

    events: list[EventOfRun]
    first_seq: int
    """Of the first event of this page; 0 if it has none."""
    last_seq: int
    total: int
    """How many events the run has, whose seqs are 1 to this."""


@routes.get("/runs/{id}/history", role=Role.READ, refuses=(404,))
async def read_history(call: Call, id: str, query: HistoryQuery) -> HistoryPage:
    """Read a page of a run's history: forward with `after`, backward with `before`, else from the first event on.

    Pages backward are in the order of the history, too: `before=total+1` gives the last events.
    """
    run = await call.find_run(id, query.run_id)
    after, limit = stretch_of(run, query.after, query.before, query.limit)
    page = await call.engine.journal.read_events(run.run_id, after, limit) if limit > 0 else []
    events = [
        EventOfRun(seq=each.seq, type=each.type, time=each.time, key=each.key, data=_visible(call, each))
        for each in map(history_event, page)
    ]
    return HistoryPage(
        events=events,
        first_seq=events[0].seq if events else 0,
        last_seq=events[-1].seq if events else 0,
        total=max(run.last_seq, events[-1].seq if events else 0),
    )


def stretch_of(run: Run, after: int | None, before: int | None, limit: int) -> tuple[int, int]:
    """Behind which event a page begins, and how many it has. Raises ``Refusal``."""
    if after is not None and before is not None:
        message = "give after, for a page forward, or before, for one backward"
        raise Refusal(400, "invalid_input", message, field="after")
    if before is None:
        return after or 0, limit
    end = min(before - 1, run.last_seq)
    begin = max(end - limit, 0)
    return begin, end - begin


def _visible(call: Call, event: HistoryEvent) -> dict[str, Any]:
    """The address of a callback is all that it takes to complete it."""
    if event.type != CALLBACK_CREATED or call.may_answer:
        return event.data
    return {name: value for name, value in event.data.items() if name != "url"}
