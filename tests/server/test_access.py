"""Who is let in: every route without, with wrong, and with too weak keys; pages of other sites; and what is logged."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from keepstep import Engine
from keepstep.client.access import KeyRing, Role
from keepstep.client.address import open_journal
from keepstep.client.namespace import KEYS_ROOM, checked_namespace
from keepstep.journal import InvalidInput, Journal, NotFound, StoreUnavailable, uuid7
from keepstep.server import guard as guard_module
from keepstep.server.api import ROUTES
from keepstep.server.app import server_app
from keepstep.server.engines import Engines
from keepstep.server.guard import Guard
from keepstep.server.route import Route
from tests.server.asking import Api, check_against_document

import httpx2  # isort: skip

KEYED = [role for role in Role if role is not Role.PUBLIC]


def random_bytes(count: int, state: list[int] = [0]) -> bytes:  # noqa: B006 - counts on purpose
    state[0] += 1
    return hashlib.sha512(str(state[0]).encode()).digest()[:count]


class House:
    """A store with keys, and its API."""

    def __init__(self, store: Journal, ring: KeyRing, api: Api) -> None:
        self.store = store
        self.ring = ring
        self.api = api
        self.keys: dict[Role, str] = {}

    async def ask(self, route: Route, key: str | None, namespace: str = "default") -> int:
        """The status of an answer to a call that can be let in, and can do nothing."""
        path = re.sub(r"\{\w+\}", "nothing", route.path)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        params = {"namespace": namespace}
        answer = await self.api.ask(route.method, path, headers=headers, params=params, content=b"[]")
        return answer.status_code


@asynccontextmanager
async def house_of(guard: Guard | None = None, **options: Any) -> AsyncIterator[House]:
    store = await open_journal("memory:")
    ring = KeyRing(store, random_bytes, uuid7)

    def make(namespace: str) -> Engine:
        return Engine("memory:", journal=store, namespace=namespace, workers=False)

    async with make("default") as first:
        engines = Engines(first, make, store)
        app = server_app(engines, guard or Guard(ring, store.clock))
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8710", **options) as client:
            yield House(store, ring, Api(client))
        await engines.close()
    await store.close()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with house_of() as house, asyncio.timeout(30):
        for role in KEYED:
            _, house.keys[role] = await house.ring.create(role.value, role)
        yield house


LOOKS = {"query_run", "journal_ask_query", "preview_schedule"} | {
    f"journal_{word}"
    for word in (
        "read_run find_run list_runs count_runs search_runs count_found count_groups list_attributes list_definitions "
        "list_leases list_queues list_backlogs read_flow find_place read_events read_state list_state read_messages "
        "read_audit"
    ).split()
}
"""Calls that change nothing, although what they ask for stands in a body."""

ASKABLE = [route for route in ROUTES if route.is_json]


@pytest.mark.parametrize("key", [None, "", "x", "ks_", "ks_abcdefgh_" + "A" * 43, "ks_abcdefgh_" + "A" * 44])
async def test_without_a_key_or_with_a_wrong_one_no_route_lets_anybody_in(house: House, key: str | None) -> None:
    for route in ROUTES:
        if route.role is not Role.PUBLIC:
            assert await house.ask(route, key) == 401, route.name


async def test_the_secret_of_another_key_opens_nothing(house: House) -> None:
    read, admin = house.keys[Role.READ], house.keys[Role.ADMIN]
    mixed = admin[:12] + read[12:]
    assert await house.ask(ROUTES[0], mixed) == 401


async def test_a_key_opens_what_its_role_covers_and_nothing_more(house: House) -> None:
    for route in ASKABLE:
        for role in KEYED:
            status = await house.ask(route, house.keys[role])
            is_let_in = status not in (401, 403)
            assert is_let_in == role.covers(route.role), (route.name, role, status)


async def test_a_route_that_changes_something_needs_more_than_to_read() -> None:
    for route in ROUTES:
        if route.method != "GET" and route.name not in LOOKS and route.role is not Role.PUBLIC:
            assert route.role in (Role.OPERATE, Role.ADMIN), route.name


async def test_a_key_for_one_namespace_opens_no_other(house: House) -> None:
    _, key = await house.ring.create("shop", Role.ADMIN, ("shop",))
    for route in ASKABLE:
        if route.role is not Role.PUBLIC:
            assert await house.ask(route, key, "default") == 403, route.name
            assert await house.ask(route, key, "shop") not in (401, 403), route.name


async def test_a_revoked_key_and_an_expired_one_count_no_longer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "KEEP_SECONDS", 0.0)
    _, short = await house.ring.create("short", Role.READ, expires_after_seconds=0.0)
    assert await house.ask(ROUTES[0], short) == 401
    assert await house.ask(ROUTES[0], house.keys[Role.READ]) == 200
    await house.ring.revoke("read")
    assert await house.ask(ROUTES[0], house.keys[Role.READ]) == 401


async def test_where_the_keys_cannot_be_read_nobody_is_let_in(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(house.store, "find_run", away)
    assert await house.ask(ROUTES[0], house.keys[Role.ADMIN]) == 503


async def test_a_refusal_says_what_is_missing_and_how_to_show_a_key(house: House) -> None:
    answer = await house.api.ask("GET", "/runs")
    assert (answer.headers["www-authenticate"], "keepstep keys create" in answer.text) == ("Bearer", True)
    shown = {"Authorization": f"Bearer {house.keys[Role.READ]}"}
    _, _, message = await house.api.refusal("POST", "/runs", headers=shown, json={"type": "x"})
    assert message == "the key 'read' has the role read; this needs operate"


async def test_every_call_that_changes_something_is_in_the_audit_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "keepstep.audit")
    shown = {"Authorization": f"Bearer {house.keys[Role.OPERATE]}"}
    await house.api.ask("POST", "/runs", headers=shown, json={"type": "secret", "id": "r", "input": ["4711"]})
    await house.api.ask("POST", "/runs/r/cancel")
    await house.api.ask("GET", "/runs", headers=shown)
    assert caplog.messages == [
        "operate: start_run at /api/v1/runs in namespace 'default', from 127.0.0.1: 201",
        "unknown: cancel_run at /api/v1/runs/r/cancel in namespace 'default', from 127.0.0.1: 401",
    ]
    assert [each.__dict__["status"] for each in caplog.records] == [201, 401]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:8710", 201), ("http://127.0.0.1:9999", 403), ("https://example.org", 403), ("null", 403),
     ("http://[", 403)],
)  # fmt: skip
async def test_a_page_of_another_origin_changes_nothing(origin: str, status: int) -> None:
    async with house_of(Guard(hosts=())) as house:
        answer = await house.api.client.post("/api/v1/runs", json={"type": "x"}, headers={"Origin": origin})
        assert answer.status_code == status
        check_against_document(answer)


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8710", 200), ("localhost:8710", 200), ("[::1]:8710", 200), ("Keepstep.Example.org", 200),
     ("evil.example.org:8710", 403), ("127.0.0.1.evil.example.org", 403), ("", 403)],
)  # fmt: skip
async def test_a_name_that_somebody_has_pointed_here_is_refused(host: str, status: int) -> None:
    async with house_of(Guard(hosts=("keepstep.example.org",))) as house:
        answer = await house.api.ask("GET", "/runs", headers={"Host": host})
        assert answer.status_code == status


async def test_keys_are_named_once_and_what_they_open_can_be_named(house: House) -> None:
    for name, role, namespaces in (
        ("read", Role.READ, ()),
        ("", Role.READ, ()),
        ("line\nbreak", Role.READ, ()),
        ("public", Role.PUBLIC, ()),
        ("room", Role.ADMIN, (KEYS_ROOM,)),
    ):
        with pytest.raises(InvalidInput):
            await house.ring.create(name, role, namespaces)
    with pytest.raises(NotFound):
        await house.ring.revoke("nobody")
    assert [each.name for each in await house.ring.list()] == ["read", "operate", "admin"]


async def test_the_room_of_the_keys_cannot_be_reached_as_a_namespace(house: House) -> None:
    with pytest.raises(InvalidInput):
        checked_namespace(KEYS_ROOM)
    [run] = await house.store.list_runs(KEYS_ROOM)
    shown = {"Authorization": f"Bearer {house.keys[Role.ADMIN]}"}
    refused = await house.api.refusal("GET", f"/runs?namespace={KEYS_ROOM}", headers=shown)
    assert refused[:2] == (400, "invalid_input")
    hidden = await house.api.refusal("GET", f"/runs/{run.run_id}", headers=shown)
    assert hidden[:2] == (404, "not_found")


async def test_two_who_change_the_keys_at_once_both_have_theirs(house: House) -> None:
    await asyncio.gather(*[house.ring.create(f"key {n}", Role.READ) for n in range(8)])
    assert len(await house.ring.list()) == len(KEYED) + 8


async def test_a_browser_shows_its_key_once_and_its_pages_alone_can_use_it(house: House) -> None:
    web = house.api.client
    assert (await house.api.get("/session"))["needs_key"] is True
    wrong = await house.api.refusal("POST", "/session", json={"key": "ks_abcdefgh_" + "A" * 43})
    assert wrong[:2] == (401, "unauthenticated")
    answer = await house.api.ask("POST", "/session", json={"key": house.keys[Role.OPERATE]})
    cookie = answer.headers["set-cookie"]
    assert "; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict" in cookie
    assert house.keys[Role.OPERATE] not in cookie
    shown = {"Cookie": cookie.partition(";")[0]}
    session = (await house.api.ask("GET", "/session", headers=shown)).json()
    assert (session["name"], session["role"]) == ("operate", "operate")
    own = {**shown, "Origin": "http://127.0.0.1:8710"}
    assert (await house.api.ask("POST", "/runs", headers=own, json={"type": "x"})).status_code == 201
    elsewhere = {**shown, "Origin": "https://example.org"}
    for method, path in (("POST", "/runs"), ("DELETE", "/session"), ("POST", "/runs/x/queries/y")):
        assert (await house.api.refusal(method, path, headers=elsewhere, json={"type": "x"}))[0] == 403
    assert (await house.api.refusal("POST", "/runs", headers=shown, json={"type": "x"}))[0] == 403
    gone = await house.api.ask("DELETE", "/session", headers=shown)
    assert (gone.json()["name"], "Max-Age=0" in gone.headers["set-cookie"]) == ("", True)
    ended = await house.api.refusal("GET", "/runs", headers=shown)
    assert (ended[0], "log in again" in ended[2]) == (401, True)
    assert (await web.get("/api/v1/runs", headers={"Cookie": "keepstep_session="})).status_code == 401


async def test_a_session_counts_no_longer_than_the_key_that_began_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "KEEP_SECONDS", 0.0)
    answer = await house.api.ask("POST", "/session", json={"key": house.keys[Role.READ]})
    shown = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert (await house.api.ask("GET", "/runs", headers=shown)).status_code == 200
    await house.ring.revoke("read")
    assert (await house.api.ask("GET", "/runs", headers=shown)).status_code == 401


async def test_over_tls_cookies_go_over_nothing_else_and_come_from_this_host_alone(house: House) -> None:
    web = house.api.client
    answer = await web.post("https://127.0.0.1:8710/api/v1/session", json={"key": house.keys[Role.READ]})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-keepstep_session=")
    assert cookie.endswith("; Secure")
    planted = {"Cookie": f"keepstep_session={'x' * 43}; " + cookie.partition(";")[0]}
    assert (await house.api.ask("GET", "/runs", headers=planted)).status_code == 200


async def test_log_ins_that_fail_and_those_that_do_not_are_in_the_audit_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "keepstep.audit")
    await house.api.ask("POST", "/session", json={"key": "ks_abcdefgh_" + "A" * 43})
    await house.api.ask("POST", "/session", json={"key": house.keys[Role.READ]})
    shown = {"Authorization": f"Bearer {house.keys[Role.READ]}"}
    await house.api.ask("POST", "/runs", headers=shown, json={"type": "x"})
    assert [(each.__dict__["caller"], each.__dict__["status"]) for each in caplog.records] == [
        ("anonymous", 401),
        ("read", 200),
        ("read", 403),
    ]


async def test_without_keys_a_session_says_that_none_is_needed() -> None:
    async with house_of(Guard(hosts=())) as house:
        session = await house.api.get("/session")
        assert (session["needs_key"], session["role"]) == (False, "admin")
        answer = await house.api.ask("POST", "/session", json={"key": "x\r\nSet-Cookie: y=z"})
        assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)


async def test_namespaces_are_named_to_those_who_may_look_into_them(house: House) -> None:
    _, key = await house.ring.create("shop", Role.OPERATE, ("shop", "bare"))
    admin, shop = ({"Authorization": f"Bearer {each}"} for each in (house.keys[Role.ADMIN], key))
    for namespace in ("shop", "other"):
        params = {"namespace": namespace}
        await house.api.ask("POST", "/runs", headers=admin, params=params, json={"type": "x"})
    daily = {"id": "s", "type": "x", "cron": "0 3 * * *"}
    await house.api.ask("POST", "/schedules", headers=shop, params={"namespace": "bare"}, json=daily)
    named = (await house.api.ask("GET", "/namespaces", headers=admin)).json()
    assert named == {"namespaces": ["bare", "default", "other", "shop"]}
    named = (await house.api.ask("GET", "/namespaces", headers=shop, params={"namespace": "shop"})).json()
    assert named == {"namespaces": ["bare", "shop"]}
