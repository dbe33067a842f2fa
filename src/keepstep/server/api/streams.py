"""Streams: what a run says on its way, page by page, or as it comes."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from keepstep.client.access.role import Role
from keepstep.client.streaming import read_page
from keepstep.runtime.data import checked_name, reader
from keepstep.server.call import Call
from keepstep.server.refusal import Refusal, overloaded
from keepstep.server.route import Routes
from keepstep.server.spoken import SpokenStream

from .history import SEQ_MAX
from .runs import RunQuery

routes = Routes("runs")

VALUES_MAX = 1000
READERS_MAX = 1000
"""Of one process. Each holds a connection."""

Position = Annotated[int, Meta(ge=0, le=SEQ_MAX)]


class LiveQuery(RunQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where on; a ``Last-Event-ID`` counts more."""

    after: Position = 0


class PageQuery(LiveQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page: the values behind the position ``after``."""

    limit: Annotated[int, Meta(ge=1, le=VALUES_MAX)] = 100


class SpokenValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a stream."""

    value: Any
    position: int
    time: datetime
    step: str | None
    """The key of the step that has said it; null for what the workflow itself has said."""
    attempt: int
    """Of that step, from 1; 0 for the workflow."""


class SpokenPage(msgspec.Struct, frozen=True, kw_only=True):
    """Values in their order. A page may have fewer than `limit`, and even none, and not be the last."""

    values: list[SpokenValue]
    position: int
    """That of the next page: give it as `after`."""
    has_more: bool
    """More may be recorded already."""
    has_ended: bool
    """Nothing follows any more: the stream was closed, or the run has ended."""


@routes.get("/runs/{id}/streams/{name}", role=Role.READ, refuses=(404, 409))
async def read_stream_page(call: Call, id: str, name: str, query: PageQuery) -> SpokenPage:
    """Read a page of what a run has said to a stream.

    A name that it has said nothing to is that of an empty stream: it may come yet.
    """
    checked_name(name, "the name of a stream")
    run = await call.find_run(id, query.run_id)
    page = await read_page(call.engine.journal, run.run_id, name, reader(), query.after, query.limit)
    values = [
        SpokenValue(value=each.value, position=each.position, time=each.time, step=each.step, attempt=each.attempt)
        for each in page.values
    ]
    return SpokenPage(values=values, position=page.position, has_more=page.has_more, has_ended=page.has_ended)


@routes.get("/runs/{id}/streams/{name}/live", role=Role.READ, refuses=(404, 409), media="text/event-stream")
async def follow_stream(call: Call, id: str, name: str, query: LiveQuery) -> SpokenStream:
    """Read a stream as server-sent events of the type `value`, from its first value or a position on, as they come.

    The data of an event is a value as in a page, and its id the position: whoever comes back with `Last-Event-ID` is
    told what follows. When the stream has ended, an event of the type `end` comes, and nothing after it.
    """
    checked_name(name, "the name of a stream")
    run = await call.find_run(id, query.run_id)
    if call.desk.readers >= READERS_MAX:
        raise overloaded(f"{READERS_MAX} callers read streams already; try again later")
    may_go_on, after = partial(call.may_go_on, Role.READ), _last_id(call, query.after)
    await read_page(call.engine.journal, run.run_id, name, reader(), after, 1)  # who may not see values is told so now
    return SpokenStream(call.desk, query.namespace, run.run_id, name, after, may_go_on, opens=call.decodes)


def _last_id(call: Call, after: int) -> int:
    """Where the caller was cut off. Raises ``Refusal``."""
    mark = call.headers.get(b"last-event-id")
    if not mark:
        return after
    if not mark.isdigit() or int(mark[:20]) > SEQ_MAX:
        message = f"Last-Event-ID is the id of an event that came from here, not {mark.decode('latin-1')!r:.60}"
        raise Refusal(400, "invalid_input", message, field="Last-Event-ID")
    return int(mark)
