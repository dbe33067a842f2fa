"""Overview: how things are, in one look."""

from __future__ import annotations

from functools import partial

from keepstep.client.access.role import Role
from keepstep.server.call import Call
from keepstep.server.dear import read_dear
from keepstep.server.overview import Overview, Since, read_overview
from keepstep.server.route import Query, Routes

routes = Routes("overview")


class OverviewQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far back the curves go."""

    since: Since = "24h"


@routes.get("/overview", role=Role.READ)
async def describe_overview(call: Call, query: OverviewQuery) -> Overview:
    """Tell what needs a person, and how many runs began, ended and failed lately, and how long they took.

    The numbers of busy times are estimates (`is_estimated`), so that the answer takes as long for millions of runs.
    """
    make = partial(read_overview, since=query.since)
    return await read_dear(call.engine, f"overview {query.since}", make)
