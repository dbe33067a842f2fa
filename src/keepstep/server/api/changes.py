"""Changes: live, as server-sent events."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from msgspec import Meta

from keepstep.client.access.role import Role
from keepstep.server.call import Call
from keepstep.server.refusal import overloaded
from keepstep.server.route import Query, Routes
from keepstep.server.stream import PAUSE_SECONDS, PAUSE_SECONDS_MIN, EventStream

routes = Routes("changes")

WATCHERS_MAX = 5000
"""Of one process. Each holds a connection."""


class WatchQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the caller wants to be told."""

    pause: Annotated[float, Meta(ge=PAUSE_SECONDS_MIN, le=60)] = PAUSE_SECONDS
    """Seconds at least between two events: what changes meanwhile is told together."""


@routes.get("/changes", role=Role.READ, media="text/event-stream")
async def watch_changes(call: Call, query: WatchQuery) -> EventStream:
    """Watch which runs change, as server-sent events of the type `runs`, at most four a second by default.

    The data of an event is `{"ids": [...], "run_ids": [...], "all": false}`; with `"all": true`, too much has happened
    to name it, and any run may have changed. Whoever comes back with `Last-Event-ID` is told what happened meanwhile.
    The stream ends when the caller's key counts no longer.
    """
    changes = call.desk.changes
    if changes.watchers >= WATCHERS_MAX:
        raise overloaded(f"{WATCHERS_MAX} callers watch already; try again later")
    mark = call.headers.get(b"last-event-id")
    watcher = await changes.watch(query.namespace, None if mark is None else mark.decode("latin-1"))
    may_go_on = partial(call.may_go_on, Role.READ)
    return EventStream(changes, watcher, call.desk.closing, may_go_on, query.pause)
