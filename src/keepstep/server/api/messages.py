"""Messages: signals, queries and updates to a run, and callbacks."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from keepstep.client.access.role import Role
from keepstep.journal import InvalidInput, NotFound
from keepstep.runtime.callback import parse_token
from keepstep.runtime.errors import TimedOut, UpdateFailed, UpdateRejected
from keepstep.server.call import HIDDEN, Call
from keepstep.server.refusal import Refusal
from keepstep.server.route import Query, Routes

from .runs import RunQuery

routes = Routes("messages")

WAIT_SECONDS_MAX = 300.0

Wait = Annotated[float, Meta(gt=0, le=WAIT_SECONDS_MAX)]
"""How many seconds an answer is waited for."""


class SignalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said."""

    value: Any = None
    id: str | None = None
    """A second signal of that id is dropped."""


class QueryBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked."""

    args: list[Any] = []
    timeout: Wait = 10.0


class UpdateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for."""

    args: list[Any] = []
    id: str | None = None
    """Asked for again by the same id it is not done again, and its outcome is returned."""
    timeout: Wait = 30.0
    """Ends only the waiting."""


class CallbackBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a callback, or a task for a person, is answered with: a value, or an error."""

    value: Any = None
    error: str | UnsetType = UNSET
    by: str = ""
    """Who has answered, for the run's history. Who has shown a key is told by that, too."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """It is durable, and will be handled."""

    id: str
    """The workflow id."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler has returned."""

    result: Any


class UpdateAnswer(Answer, frozen=True, kw_only=True):
    """What the handler of an update has returned."""

    id: str
    """By which the update is known."""


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A callback has its answer."""

    completed: bool


@routes.post("/runs/{id}/signals/{name}", role=Role.OPERATE, statuses=(202,), refuses=(404, 410))
async def signal_run(call: Call, id: str, name: str, query: RunQuery, body: SignalBody) -> Sent:
    """Send a signal to a run. It is durable when this is answered."""
    handle = await call.acting_handle(id, query.run_id)
    await handle.signal(name, body.value, id=body.id)
    return Sent(id=handle.id)


@routes.post("/runs/{id}/queries/{name}", role=Role.READ, refuses=(404, 409, 422, 504))
async def query_run(call: Call, id: str, name: str, query: RunQuery, body: QueryBody) -> Answer:
    """Ask a run something. Nothing is written, and runs that sleep or are closed answer, too."""
    handle = await call.handle(id, query.run_id)
    return Answer(result=await handle.query(name, *body.args, timeout=body.timeout))


@routes.post("/runs/{id}/updates/{name}", role=Role.OPERATE, refuses=(404, 409, 410, 422, 504))
async def update_run(call: Call, id: str, name: str, query: RunQuery, body: UpdateBody) -> UpdateAnswer:
    """Have an update done by a run, and wait for its result."""
    handle = await call.acting_handle(id, query.run_id)
    update_id = call.engine.new_id() if body.id is None else body.id
    try:
        result = await handle.update(name, *body.args, id=update_id, timeout=body.timeout)
    except TimedOut as error:
        again = f"it may be done yet: ask again with the id {update_id!r}"
        raise Refusal(504, "timed_out", f"{error}; {again}") from None
    except (UpdateFailed, UpdateRejected) as error:
        if call.decodes:
            raise
        code = "update_failed" if isinstance(error, UpdateFailed) else "update_rejected"
        raise Refusal(422, code, f"the run has refused it, or failed to do it; what it said is {HIDDEN}") from None
    return UpdateAnswer(result=result if call.decodes else HIDDEN, id=update_id)


@routes.post("/callbacks/{token}", role=Role.OPERATE, refuses=(404, 410))
async def complete_callback(call: Call, token: str, query: Query, body: CallbackBody) -> Completed:
    """Complete a callback or a task for a person with a value, or let the wait for it raise an error.

    A second completion is accepted and has no effect.
    """
    try:
        parse_token(token)
    except InvalidInput:
        raise NotFound("no run has made this callback token") from None
    by = call.signature(body.by)
    if isinstance(body.error, UnsetType):
        await call.acting.complete_callback(token, body.value, by=by)
    else:
        await call.acting.fail_callback(token, body.error, by=by)
    return Completed(completed=True)
