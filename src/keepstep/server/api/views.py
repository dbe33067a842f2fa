"""Views: filters that have a name, shared by all who look at the runs of a namespace."""

from __future__ import annotations

from datetime import datetime

import msgspec

from keepstep.client.access.role import Role
from keepstep.client.info import moment
from keepstep.client.views import View, Views
from keepstep.server.call import Call
from keepstep.server.route import Query, Routes

routes = Routes("views")


class ViewShown(msgspec.Struct, frozen=True, kw_only=True):
    """A filter that has a name."""

    name: str
    filter: str
    by: str
    """Who has saved it; empty where that is not known."""
    saved_at: datetime

    @classmethod
    def of(cls, view: View) -> ViewShown:
        return cls(name=view.name, filter=view.filter, by=view.by, saved_at=moment(view.saved_at))


class ViewList(msgspec.Struct, frozen=True, kw_only=True):
    """By name."""

    views: list[ViewShown]


class NewView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter, and what it is to be called."""

    name: str
    filter: str


@routes.get("/views", role=Role.READ, refuses=(409,))
async def list_views(call: Call, query: Query) -> ViewList:
    """List the saved views."""
    return ViewList(views=list(map(ViewShown.of, await _views(call).list())))


@routes.post("/views", role=Role.OPERATE, refuses=(409,))
async def save_view(call: Call, query: Query, body: NewView) -> ViewShown:
    """Keep a filter under a name, in the place of what was kept there."""
    return ViewShown.of(await _views(call).save(body.name, body.filter, call.signature("")))


@routes.delete("/views/{name}", role=Role.OPERATE, refuses=(404, 409))
async def delete_view(call: Call, name: str, query: Query) -> ViewList:
    """Forget a view; those that are left."""
    await _views(call).delete(name, call.signature(""))
    return await list_views(call, query)


def _views(call: Call) -> Views:
    """Through the engine that acts: a filter is made of what runs are searched by, which nobody encrypts."""
    return Views(call.acting.journal, call.acting.namespace, call.acting.new_id)
