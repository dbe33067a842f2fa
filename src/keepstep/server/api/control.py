"""Control: what operators do to a run: cancel, terminate, retry, pause, resume, fork, resolve."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from keepstep.client.access.role import Role
from keepstep.client.handle import RunHandle
from keepstep.server.call import Call
from keepstep.server.refusal import Refusal
from keepstep.server.route import Routes

from .runs import RunQuery, Time, address_of
from .summary import RunSummary, summary_of

routes = Routes("control")


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; it is kept in the run's history."""

    reason: str = ""


class ForkBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to fork, and with what."""

    at: int | None = None
    """The seq of the last event that is kept; by default the last result that is replaced, or as late as possible."""
    replace: dict[str, Any] = {}
    """Other results for steps, children and callbacks, by key."""
    id: str | None = None
    """Of the new run; by default made from the old one's."""


class Moved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a run is to begin: one of both."""

    delay: Time | None = None
    """So long from now; 0 for as soon as its queue lets it."""
    start_at: Annotated[datetime, Meta(tz=True)] | None = None


class Resolution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a step: its value, or the error that it ended with."""

    key: str
    value: Any | UnsetType = UNSET
    error: str | UnsetType = UNSET


@routes.post("/runs/{id}/cancel", role=Role.OPERATE, statuses=(202,), refuses=(404, 410))
async def cancel_run(call: Call, id: str, query: RunQuery, body: Reason) -> RunSummary:
    """Ask a run to stop; it undoes what it has to."""
    handle = await call.acting_handle(id, query.run_id)
    await handle.cancel(body.reason)
    return await _now(call, handle)


@routes.post("/runs/{id}/terminate", role=Role.OPERATE, refuses=(404, 409, 410))
async def terminate_run(call: Call, id: str, query: RunQuery, body: Reason) -> RunSummary:
    """End a run at once, by force; nothing is undone."""
    handle = await call.acting_handle(id, query.run_id)
    await handle.terminate(body.reason)
    return await _now(call, handle)


@routes.post("/runs/{id}/retry", role=Role.OPERATE, refuses=(404, 409, 410))
async def retry_run(call: Call, id: str, query: RunQuery) -> RunSummary:
    """Let a failed run go on at its failed step, or a parked one try again."""
    handle = await call.acting_handle(id, query.run_id)
    await handle.retry()
    return await _now(call, handle)


@routes.post("/runs/{id}/pause", role=Role.OPERATE, refuses=(404, 409, 410))
async def pause_run(call: Call, id: str, query: RunQuery) -> RunSummary:
    """Let a run stand still until it is resumed; steps that are being executed end first."""
    handle = await call.acting_handle(id, query.run_id)
    await handle.pause()
    return await _now(call, handle)


@routes.post("/runs/{id}/resume", role=Role.OPERATE, refuses=(404, 409, 410))
async def resume_run(call: Call, id: str, query: RunQuery) -> RunSummary:
    """Let a paused run go on."""
    handle = await call.acting_handle(id, query.run_id)
    await handle.resume()
    return await _now(call, handle)


@routes.post("/runs/{id}/move-start", role=Role.OPERATE, refuses=(404, 409, 410))
async def move_start(call: Call, id: str, query: RunQuery, body: Moved) -> RunSummary:
    """Let a run that waits on its queue, as one that was started with a delay does, begin at another time."""
    handle = await call.acting_handle(id, query.run_id)
    if (body.delay is None) == (body.start_at is None):
        raise Refusal(400, "invalid_input", "the body: say when: either delay or start_at", field="delay")
    await handle.move_start(delay=body.delay, start_at=body.start_at)
    return await _now(call, handle)


@routes.post("/runs/{id}/fork", role=Role.OPERATE, statuses=(201,), refuses=(404, 409))
async def fork_run(call: Call, id: str, query: RunQuery, body: ForkBody) -> RunSummary:
    """Start a new run whose history is this one's up to an event, with other results where they are replaced."""
    handle = await call.acting_handle(id, query.run_id)
    forked = await handle.fork(body.at, body.replace, id=body.id)
    call.location = address_of(forked.id)
    return await _now(call, forked)


@routes.post("/runs/{id}/resolve", role=Role.OPERATE, refuses=(404, 410))
async def resolve_step(call: Call, id: str, query: RunQuery, body: Resolution) -> RunSummary:
    """Say what became of an uncertain step, or that an undo that has failed was done by hand."""
    handle = await call.acting_handle(id, query.run_id)
    if isinstance(body.value, UnsetType) == isinstance(body.error, UnsetType):
        raise Refusal(400, "invalid_input", "the body: say what happened: either a value or an error", field="value")
    if isinstance(body.error, UnsetType):
        await handle.resolve(body.key, body.value)
    else:
        await handle.resolve(body.key, error=body.error)
    return await _now(call, handle)


async def _now(call: Call, handle: RunHandle[object]) -> RunSummary:
    return summary_of(await call.seen(handle))
