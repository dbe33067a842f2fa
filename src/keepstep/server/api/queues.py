"""Queues: what waits on them, pausing them, and changing their limits."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from keepstep.client.access.role import Role
from keepstep.queues.limits import NAMES
from keepstep.server.call import Call
from keepstep.server.queue_load import QueueLoad, read_load, read_loads
from keepstep.server.refusal import Refusal
from keepstep.server.route import Query, Routes

routes = Routes("queues")

Limit = Literal["concurrency", "per_worker", "per_key", "rate", "rate_per_key", "weights"]


class QueueList(msgspec.Struct, frozen=True, kw_only=True):
    """By name. Queues of which nothing is kept have no limits."""

    queues: list[QueueLoad]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to hold from now on, above what code declares; null for no such limit. What is left out stays."""

    concurrency: int | UnsetType | None = UNSET
    """Steps and runs at work at a time, over all workers."""
    per_worker: int | UnsetType | None = UNSET
    per_key: int | UnsetType | None = UNSET
    """Of one fairness key at a time."""
    rate: str | UnsetType | None = UNSET
    """Begun in any stretch of that length, such as "100/m"."""
    rate_per_key: str | UnsetType | None = UNSET
    """Of one fairness key, likewise."""
    weights: dict[str, int] | UnsetType | None = UNSET
    """Of fairness keys."""
    reset: list[Limit] = []
    """Limits for which what code declares is to count again."""


@routes.get("/queues", role=Role.READ)
async def list_queues(call: Call, query: Query) -> QueueList:
    """List the queues that have limits, are paused, are served by a worker, or have something waiting on them."""
    return QueueList(queues=await read_loads(call.engine.journal))


@routes.get("/queues/{name}", role=Role.READ)
async def describe_queue(call: Call, name: str, query: Query) -> QueueLoad:
    """Tell what holds on a queue, what code declares, what was changed, what waits, since when, and who serves it."""
    return await read_load(call.engine.journal, name)


@routes.patch("/queues/{name}", role=Role.ADMIN)
async def change_queue(call: Call, name: str, query: Query, body: Limits) -> QueueLoad:
    """Change limits of a queue, from now on and above what code declares."""
    limits = {each: getattr(body, each) for each in NAMES}
    given = {each: value for each, value in limits.items() if value is not UNSET}
    if both := sorted(set(given) & set(body.reset)):
        message = f"the body: {both[0]} is given and reset at the same time; leave one out"
        raise Refusal(400, "invalid_input", message, field="reset")
    if not given and not body.reset:
        raise Refusal(400, "invalid_input", "the body: give a limit to change, or to reset")
    if given:
        await call.engine.queues.limit(name, **given)
    if body.reset:
        await call.engine.queues.reset(name, *body.reset)
    return await read_load(call.engine.journal, name)


@routes.post("/queues/{name}/pause", role=Role.OPERATE)
async def pause_queue(call: Call, name: str, query: Query) -> QueueLoad:
    """Hand out nothing more of a queue; what runs goes on."""
    await call.engine.queues.pause(name)
    return await read_load(call.engine.journal, name)


@routes.post("/queues/{name}/resume", role=Role.OPERATE)
async def resume_queue(call: Call, name: str, query: Query) -> QueueLoad:
    """Hand out again."""
    await call.engine.queues.resume(name)
    return await read_load(call.engine.journal, name)
