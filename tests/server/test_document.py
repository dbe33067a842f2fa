"""The document of the API is made of its routes, and routes that it could not tell are refused."""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec
import pytest

from keepstep import Engine
from keepstep.client.access.role import Role
from keepstep.server.api import ROUTES
from keepstep.server.call import Call
from keepstep.server.route import Query, Routes
from tests.server.asking import api_of


async def test_the_document_has_every_route_with_its_role_and_is_served() -> None:
    async with Engine("memory:", workers=False) as engine, api_of(engine) as api:
        answer: httpx2.Response = await api.client.get("/api/v1/openapi.json")
    document = answer.json()
    told = {
        (method.upper(), path.removeprefix("/api/v1"), operation["x-keepstep-role"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert told == {(route.method, route.path, route.role.value) for route in ROUTES}
    assert document["openapi"] == "3.1.0"


def test_every_route_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [route.name for route in ROUTES]
    assert len(set(names)) == len(names)
    for route in ROUTES:
        first = route.doc.splitlines()[0]
        assert first.endswith("."), route.name


def test_a_route_that_could_not_be_told_is_refused() -> None:
    routes = Routes("tests")

    async def without_words(call: Call, query: Query) -> Query:
        return query

    async def with_what_nobody_gives(call: Call, query: Query, colour: str) -> Query:
        """Say something."""
        return query

    async def without_its_parameter(call: Call, query: Query) -> Query:
        """Say something."""
        return query

    async def with_a_query_of_its_own(call: Call, query: msgspec.Struct) -> Any:
        """Say something."""

    for path, handle in (
        ("/a", without_words),
        ("/b", with_what_nobody_gives),
        ("/c/{id}", without_its_parameter),
        ("/d", with_a_query_of_its_own),
    ):
        with pytest.raises(TypeError):
            routes.get(path, role=Role.READ)(handle)
    assert routes.all == []
