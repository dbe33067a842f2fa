"""Attributes: what runs can be searched by."""

from __future__ import annotations

from typing import Literal

import msgspec

from keepstep.client.access.role import Role
from keepstep.journal.field import BUILT_IN
from keepstep.server.call import Call
from keepstep.server.route import Query, Routes

routes = Routes("attributes")

Type = Literal["keyword", "int", "double", "bool", "datetime", "keyword_list"]


class AttributeList(msgspec.Struct, frozen=True, kw_only=True):
    """What a filter may name, each with its type."""

    attributes: dict[str, Type]
    """Of this namespace."""
    fields: dict[str, str]
    """Of every run."""


class NewAttributes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Types of attributes, by name."""

    attributes: dict[str, Type]


@routes.get("/attributes", role=Role.READ)
async def list_attributes(call: Call, query: Query) -> AttributeList:
    """List what runs can be searched by."""
    return AttributeList(
        attributes=await call.engine.attributes.list(),  # type: ignore[arg-type]
        fields={field.name: field.type.value for field in BUILT_IN},
    )


@routes.post("/attributes", role=Role.ADMIN)
async def register_attributes(call: Call, query: Query, body: NewAttributes) -> AttributeList:
    """Give attributes their types before the first run has a value. Said again it changes nothing; a type stays."""
    await call.engine.attributes.register(**body.attributes)
    return await list_attributes(call, query)
