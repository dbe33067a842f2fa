"""Changes: live, as server-sent events."""

from __future__ import annotations

from functools import partial

from keepstep.client.access.role import Role
from keepstep.server.call import Call
from keepstep.server.refusal import overloaded
from keepstep.server.route import Query, Routes
from keepstep.server.stream import EventStream

routes = Routes("changes")

WATCHERS_MAX = 5000
"""Of one process. Each holds a connection."""


@routes.get("/changes", role=Role.READ, media="text/event-stream")
async def watch_changes(call: Call, query: Query) -> EventStream:
    """Watch which runs change, as server-sent events of the type `runs`, at most four a second.

    The data of an event is `{"ids": [...], "run_ids": [...], "all": false}`; with `"all": true`, too much has happened
    to name it, and any run may have changed. Whoever comes back with `Last-Event-ID` is told what happened meanwhile.
    The stream ends when the caller's key counts no longer.
    """
    changes = call.desk.changes
    if changes.watchers >= WATCHERS_MAX:
        raise overloaded(f"{WATCHERS_MAX} callers watch already; try again later")
    mark = call.headers.get(b"last-event-id")
    watcher = await changes.watch(query.namespace, None if mark is None else mark.decode("latin-1"))
    return EventStream(changes, watcher, call.desk.closing, partial(call.may_go_on, Role.READ))
