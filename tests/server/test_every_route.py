"""Every call that the served document names, without, with wrong, and with too weak credentials, and from elsewhere.

What is asked is read from ``/api/v1/openapi.json`` of the application itself, so that a call that is added is asked,
too; and an address that is served beside it has to be named here.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx2
import pytest
from starlette.routing import Route as Address

from keepstep import Engine
from keepstep.client.access import KeyRing, Role
from keepstep.client.address import open_journal
from keepstep.journal import Overloaded, uuid7
from keepstep.server import guard as guard_module
from keepstep.server.app import server_app
from keepstep.server.desk import Desk
from keepstep.server.engines import Engines
from keepstep.server.guard import Guard
from keepstep.telemetry.metrics import PrometheusMetrics

HERE = "http://127.0.0.1:8710"
BASE = "/api/v1"

BESIDE = {
    f"{BASE}/openapi.json": "public",
    f"{BASE}/{{rest:path}}": "nothing is there",
    "/callbacks/{token}": "its token",
    "/healthz": "public",
    "/readyz": "public",
    "/metrics": "read",
    "/assets/{name}": "public: the files of the web UI, which has no data",
    "/{path:path}": "public",
}
"""What is served beside the calls of the document, and what it takes."""


def random_bytes(count: int, state: list[int] = [0]) -> bytes:  # noqa: B006 - counts on purpose
    state[0] += 1
    return hashlib.sha512(b"every" + str(state[0]).encode()).digest()[:count]


class Operation(NamedTuple):
    """One call of the document."""

    name: str
    method: str
    path: str
    role: Role
    is_stream: bool

    @property
    def address(self) -> str:
        return re.sub(r"\{\w+\}", "nothing", self.path)


class House:
    """A server, its document, and a ring of keys."""

    def __init__(self, app: Any, ring: KeyRing, web: httpx2.AsyncClient, operations: list[Operation]) -> None:
        self.app = app
        self.ring = ring
        self.web = web
        self.operations = operations

    @property
    def guarded(self) -> list[Operation]:
        return [each for each in self.operations if each.role is not Role.PUBLIC]

    async def ask(self, it: Operation, namespace: str = "default", method: str = "", **headers: str) -> httpx2.Response:
        """A call that can be let in and can do nothing: there is no such run, and the body is no object."""
        return await self.web.request(
            method or it.method, it.address, params={"namespace": namespace}, headers=headers, content=b"[]"
        )

    async def refuses(self, status: int, namespace: str = "default", **headers: str) -> None:
        """Every call that takes anything is refused so."""
        for each in self.guarded:
            answer = await self.ask(each, namespace, **headers)
            assert answer.status_code == status, (each.name, answer.text)


def operations_of(document: dict[str, Any]) -> list[Operation]:
    return [
        Operation(each["operationId"], method.upper(), path, Role(each["x-keepstep-role"]), is_stream(each))
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    ]


def is_stream(operation: dict[str, Any]) -> bool:
    """Whether its success is no JSON."""
    answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    return not any("application/json" in answer["content"] for answer in answers)


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(guard_module, "KEEP_SECONDS", 0.0)
    store = await open_journal("memory:")
    ring = KeyRing(store, random_bytes, uuid7)

    def make(namespace: str) -> Engine:
        return Engine("memory:", journal=store, namespace=namespace, workers=False)

    first = Engine("memory:", journal=store, workers=False, observers=[PrometheusMetrics()])
    async with first, asyncio.timeout(60):
        engines = Engines(first, make, store)
        app = server_app(engines, Guard(ring, store.clock))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=HERE) as web:
            document = (await web.get(f"{BASE}/openapi.json")).json()
            yield House(app, ring, web, operations_of(document))
        await engines.close()
    await store.close()


async def test_every_address_that_is_served_is_in_the_document_or_named_here(house: House) -> None:
    served = {each.path for each in house.app.routes if isinstance(each, Address)}
    assert len(served) == len(house.app.routes)
    assert served == {each.path for each in house.operations} | set(BESIDE)
    assert len(house.guarded) > 60


async def test_nobody_is_let_in_without_a_key_or_with_a_wrong_one(house: House) -> None:
    await house.refuses(401)
    await house.refuses(401, Authorization="Bearer ks_abcdefgh_" + "A" * 43)
    await house.refuses(401, Authorization="Bearer a.b.c")
    await house.refuses(401, Authorization="Basic YTpi")
    await house.refuses(401, Cookie=f"keepstep_session={'x' * 43}")
    assert (await house.web.get("/metrics")).status_code == 401
    for each in house.guarded:
        if each.method == "GET":
            assert (await house.ask(each, method="HEAD")).status_code == 401, each.name


async def test_nobody_is_let_in_with_a_key_that_has_expired_or_was_revoked(house: House) -> None:
    _, expired = await house.ring.create("expired", Role.ADMIN, expires_after_seconds=0.0)
    await house.refuses(401, Authorization=f"Bearer {expired}")
    _, revoked = await house.ring.create("revoked", Role.ADMIN)
    await house.ring.revoke("revoked")
    await house.refuses(401, Authorization=f"Bearer {revoked}")


async def test_nobody_is_let_in_to_another_namespace(house: House) -> None:
    _, key = await house.ring.create("shop", Role.ADMIN, ("shop",))
    await house.refuses(403, "default", Authorization=f"Bearer {key}")
    await house.refuses(403, ":keys", Authorization=f"Bearer {key}")


async def test_a_role_opens_what_it_covers_and_nothing_more(house: House) -> None:
    for role in (Role.READ, Role.OPERATE, Role.ADMIN):
        _, key = await house.ring.create(role.value, role)
        for each in house.guarded:
            if role.covers(each.role) and each.is_stream:
                continue  # which would go on for ever; that it is refused to others is asked
            answer = await house.ask(each, Authorization=f"Bearer {key}")
            is_let_in = answer.status_code not in (401, 403)
            assert is_let_in == role.covers(each.role), (each.name, role, answer.text)


async def session_with(house: House, role: Role) -> str:
    _, key = await house.ring.create(f"browser {role}", role)
    answer = await house.web.post(f"{BASE}/session", json={"key": key})
    house.web.cookies.clear()
    return str(answer.headers["set-cookie"].partition(";")[0])


async def test_a_session_changes_nothing_from_a_page_of_another_site(house: House) -> None:
    cookie = await session_with(house, Role.ADMIN)
    changing = [each for each in house.guarded if each.method != "GET"]
    assert len(changing) > 30
    for each in changing:
        for where in ({}, {"Origin": "https://example.org"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
            answer = await house.ask(each, Cookie=cookie, **where)
            assert answer.status_code == 403, (each.name, where)
        if not each.is_stream:
            assert (await house.ask(each, Cookie=cookie, Origin=HERE)).status_code not in (401, 403), each.name


async def test_a_session_that_has_ended_opens_nothing(house: House) -> None:
    cookie = await session_with(house, Role.ADMIN)
    assert (await house.web.get(f"{BASE}/runs", headers={"Cookie": cookie})).status_code == 200
    await house.web.delete(f"{BASE}/session", headers={"Cookie": cookie})
    await house.refuses(401, Cookie=cookie, Origin=HERE)


async def test_whatever_changes_something_or_tried_to_is_in_the_audit_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "keepstep.audit")
    changing = [each for each in house.operations if each.role in (Role.OPERATE, Role.ADMIN)]
    _, key = await house.ring.create("reader", Role.READ)
    for each in changing:
        await house.ask(each)
        await house.ask(each, Authorization=f"Bearer {key}")
    told = [(each.__dict__["caller"], each.__dict__["call"], each.__dict__["status"]) for each in caplog.records]
    assert told == [line for each in changing for line in (("unknown", each.name, 401), ("reader", each.name, 403))]


async def test_where_there_is_too_much_to_do_every_call_is_asked_to_come_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key = await house.ring.create("admin", Role.ADMIN)
    desk: Desk = house.app.state.desk
    monkeypatch.setattr(desk, "_calls_max", 0)
    for each in house.guarded:
        answer = await house.ask(each, Authorization=f"Bearer {key}")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2"), each.name
    assert (await house.web.get("/healthz")).status_code == 200


async def test_where_the_store_takes_no_more_callers_are_asked_to_come_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def overloaded(*_: Any, **__: Any) -> Any:
        raise Overloaded("10,000 commits wait to be written; try again later")

    _, key = await house.ring.create("admin", Role.ADMIN)
    monkeypatch.setattr(house.app.state.desk.engines.first, "start", overloaded)
    answer = await house.web.post(f"{BASE}/runs", json={"type": "x"}, headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert answer.json()["error"]["code"] == "overloaded"
