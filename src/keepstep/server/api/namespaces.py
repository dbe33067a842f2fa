"""Namespaces: which there are, as far as the caller may look into them."""

from __future__ import annotations

import msgspec

from keepstep.client.access.role import Role
from keepstep.client.namespace import OWNERLESS_ROOMS, rooms_of
from keepstep.journal import Journal
from keepstep.server.call import Call
from keepstep.server.route import Query, Routes

routes = Routes("namespaces")

NAMES_MAX = 10_000
PAGE = 1000


class NamespaceList(msgspec.Struct, frozen=True, kw_only=True):
    """By name. A namespace is there once it has a run or a schedule."""

    namespaces: list[str]


@routes.get("/namespaces", role=Role.READ)
async def list_namespaces(call: Call, query: Query) -> NamespaceList:
    """List the namespaces that have runs or schedules, and the one that is asked."""
    names = {_owner(each) for each in await _read(call.desk.engines.store)} - {""} | {query.namespace}
    return NamespaceList(namespaces=sorted(each for each in names if call.caller.may(Role.READ, each)))


async def _read(store: Journal) -> list[str]:
    found: list[str] = []
    while page := await store.list_namespaces(found[-1] if found else "", PAGE):
        found += page
        if len(found) >= NAMES_MAX:
            break
    return found


def _owner(name: str) -> str:
    """The namespace that a name is, or is a room of; "" for what belongs to none."""
    if name in OWNERLESS_ROOMS:
        return ""
    for ending in rooms_of(""):
        name = name.removesuffix(ending)
    return name
