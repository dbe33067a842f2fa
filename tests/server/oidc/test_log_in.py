"""People log in at a provider on a real socket: the whole way, and whatever may be wrong on it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from keepstep import Engine
from keepstep.client.access import KeyRing
from keepstep.client.address import open_journal
from keepstep.journal import InvalidInput, Journal, uuid7
from keepstep.server.app import server_app
from keepstep.server.engines import Engines
from keepstep.server.guard import Guard
from keepstep.server.oidc import OidcSettings, Provider, keyset, provider, read_rule
from keepstep.server.oidc.pending import page_below
from keepstep.server.oidc.settings import groups_in, name_in
from tests.server.asking import Api, check_against_document
from tests.server.oidc.identity import CLIENT, SECRET, Identity, SigningKey

HERE = "http://127.0.0.1:8710"
RULES = ("read=staff", "admin@shop=shopkeepers")


def random_bytes(count: int, state: list[int] = [0]) -> bytes:  # noqa: B006 - counts on purpose
    state[0] += 1
    return hashlib.sha512(b"oidc" + str(state[0]).encode()).digest()[:count]


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Door:
    """A server that has people log in at an identity provider, and a browser before it."""

    def __init__(self, identity: Identity, store: Journal, browser: httpx2.AsyncClient, clock: Clock) -> None:
        self.identity = identity
        self.store = store
        self.browser = browser
        self.clock = clock

    async def begin(self, next: str = "") -> tuple[str, str]:
        """Where the browser is sent, and where the provider sends it back to."""
        sent = await self.browser.get("/login/oidc", params={"next": next})
        assert sent.status_code == 302, sent.text
        async with httpx2.AsyncClient() as elsewhere:
            back = await elsewhere.get(sent.headers["location"])
        assert back.status_code == 307, back.text
        return sent.headers["location"], back.headers["location"]

    async def log_in(self, next: str = "") -> httpx2.Response:
        _, back = await self.begin(next)
        return await self.browser.get(back)

    async def who(self) -> dict[str, Any]:
        answer = await self.browser.get("/api/v1/session")
        check_against_document(answer)
        session: dict[str, Any] = answer.json()
        return session


@asynccontextmanager
async def door_to(identity: Identity, **more: Any) -> AsyncIterator[Door]:
    store = await open_journal("memory:")
    clock = Clock()
    given = {"client_secret": SECRET, "public_url": HERE, "rules": tuple(map(read_rule, RULES)), **more}
    made = Provider(OidcSettings(issuer=identity.issuer, client_id=CLIENT, **given), clock)
    ring = KeyRing(store, random_bytes, uuid7)

    def make(namespace: str) -> Engine:
        return Engine("memory:", journal=store, namespace=namespace, workers=False)

    async with make("default") as first:
        app = server_app(engines := Engines(first, make, store), Guard(ring, store.clock, provider=made))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=HERE) as browser:
            yield Door(identity, store, browser, clock)
        await engines.close()
    await made.close()
    await store.close()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with Identity.serving() as identity, door_to(identity, audience="keepstep-api") as door:
        yield door


async def test_somebody_logs_in_is_known_and_logs_out_again(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "keepstep.audit")
    before = await door.who()
    assert (before["needs_key"], before["name"], before["log_in"]["path"]) == (True, "", "login/oidc")
    assert (await door.browser.get("/api/v1/runs")).status_code == 401
    answer = await door.log_in("runs/order-1?view=history")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HERE}/runs/order-1?view=history")
    assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
    session = await door.who()
    assert (session["name"], session["role"], session["namespaces"]) == ("ann@example.org", "read", [])
    assert (await door.browser.get("/api/v1/runs")).status_code == 200
    refused = await door.browser.post("/api/v1/runs", json={"type": "x"}, headers={"Origin": HERE})
    assert refused.json()["error"]["message"] == "'ann@example.org' has the role read; this needs operate"
    kept = dict(door.browser.cookies)
    gone = (await door.browser.delete("/api/v1/session")).json()
    there = urlsplit(gone["log_out_url"])
    assert there.path == "/logout"
    assert parse_qs(there.query) == {"client_id": [CLIENT], "post_logout_redirect_uri": [HERE]}
    door.browser.cookies.update(kept)  # somebody has taken the cookie: it is worth nothing now
    assert (await door.who())["name"] == ""
    assert [(each.__dict__["caller"], each.__dict__["subject"], each.__dict__["call"]) for each in caplog.records] == [
        ("ann@example.org", "ann-1", "log_in"),
        ("ann@example.org", "ann-1", "start_run"),
        ("ann@example.org", "ann-1", "end_session"),
    ]


async def test_groups_give_roles_each_in_its_place(door: Door) -> None:
    door.identity.person["groups"] = ["staff", "shopkeepers", "others"]
    await door.log_in()
    headers = {"Origin": HERE}
    in_shop = await door.browser.post("/api/v1/runs?namespace=shop", json={"type": "x"}, headers=headers)
    elsewhere = await door.browser.post("/api/v1/runs", json={"type": "x"}, headers=headers)
    assert (in_shop.status_code, elsewhere.status_code) == (201, 403)
    assert (await door.who())["role"] == "admin"


async def test_who_is_in_no_group_that_counts_is_told_so_and_has_no_session(door: Door) -> None:
    door.identity.person["groups"] = ["strangers"]
    answer = await door.log_in()
    assert (answer.status_code, "none of your groups" in answer.text) == (403, True)
    assert (await door.who())["name"] == ""


async def test_what_changes_something_must_come_from_a_page_of_this_server(door: Door) -> None:
    door.identity.person["groups"] = ["shopkeepers"]
    await door.log_in()

    async def start(**headers: str) -> int:
        answer = await door.browser.post("/api/v1/runs?namespace=shop", json={"type": "x"}, headers=headers)
        return answer.status_code

    assert await start() == 403
    assert await start(Origin="https://example.org") == 403
    assert await start(**{"Sec-Fetch-Site": "cross-site"}) == 403
    assert await start(Origin=HERE) == 201
    assert await start(**{"Sec-Fetch-Site": "same-origin"}) == 201


async def test_each_log_in_has_a_name_of_its_own_and_ends_the_one_before(door: Door) -> None:
    await door.log_in()
    first = dict(door.browser.cookies)
    await door.log_in()
    assert dict(door.browser.cookies) != first
    async with httpx2.AsyncClient(transport=door.browser._transport, base_url=HERE, cookies=first) as other:
        assert (await other.get("/api/v1/runs")).status_code == 401


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "issuer": ({"iss": "https://evil.example"}, "another issuer"),
    "audience": ({"aud": "another-program"}, "another program"),
    "party": ({"azp": "another-program"}, "another program"),
    "many audiences": ({"aud": [CLIENT, "another-program"]}, "another program"),
    "nonce": ({"nonce": "stolen"}, "another log-in"),
    "no nonce": ({"nonce": None}, "another log-in"),
    "expired": ({"exp": int(time.time()) - 120}, "expired"),
    "for ever": ({"exp": None}, "exp"),
    "from the future": ({"iat": int(time.time()) + 600}, "does not count yet"),
    "nobody": ({"sub": None}, "sub"),
    "empty subject": ({"sub": ""}, "of whom"),
    "a number": ({"sub": 5}, "no valid token"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_token_that_says_something_wrong_logs_nobody_in(door: Door, what: str) -> None:
    door.identity.lies, why = WRONG[what]
    answer = await door.log_in()
    assert (answer.status_code, (await door.who())["name"]) == (401, "")
    assert why in answer.text


async def test_clocks_may_be_a_minute_apart(door: Door) -> None:
    door.identity.lies = {"exp": int(time.time()) - 30, "iat": int(time.time()) + 30}
    assert (await door.log_in()).status_code == 303


def _public_pem(key: SigningKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    data: bytes = key.private.public_key().public_bytes(serialization.Encoding.PEM, form)
    return data


def _by_shared_secret(key: SigningKey, claims: dict[str, Any]) -> str:
    """The provider's public key, which everybody knows, as the secret of an HMAC; by hand, as PyJWT refuses to."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "kid": key.id}).encode()) + "." + part(json.dumps(claims).encode())
    return head + "." + part(hmac.digest(_public_pem(key), head.encode(), "sha256"))


FORGED: dict[str, Callable[[Identity], Callable[[dict[str, Any]], str]]] = {
    "none": lambda it: lambda claims: jwt.encode(claims, "", algorithm="none", headers={"kid": it.key.id}),
    "shared secret": lambda it: lambda claims: _by_shared_secret(it.key, claims),
    "another key of that name": lambda it: SigningKey("first").sign,
    "an unknown key": lambda it: SigningKey("unknown").sign,
    "another kind of key of that name": lambda it: SigningKey("first", "ES256").sign,
    "a key that comes along": lambda it: lambda claims: (mine := SigningKey("mine")).sign(claims, jwk=mine.as_public()),
    "cut off": lambda it: lambda claims: it.key.sign(claims).rpartition(".")[0] + ".",
    "no token": lambda it: lambda claims: "hello",
    "too long": lambda it: lambda claims: it.key.sign({**claims, "more": "x" * 20_000}),
}


@pytest.mark.parametrize("how", FORGED)
async def test_a_forged_token_logs_nobody_in(door: Door, how: str) -> None:
    door.identity.sign = FORGED[how](door.identity)
    assert (await door.log_in()).status_code == 401
    assert (await door.who())["name"] == ""


@pytest.mark.filterwarnings("ignore:The RSA key")
async def test_a_key_that_is_too_short_does_not_count(door: Door) -> None:
    door.identity.key = SigningKey("short", bits=2040)
    door.identity.published = [door.identity.key]
    answer = await door.log_in()
    assert (answer.status_code, "2048 are needed" in answer.text) == (401, True)


@pytest.mark.parametrize("algorithm", ["RS512", "PS256", "ES256", "EdDSA"])
async def test_every_algorithm_of_public_keys_counts(door: Door, algorithm: str) -> None:
    door.identity.key = SigningKey("other", algorithm)
    door.identity.published = [door.identity.key]
    assert (await door.log_in()).status_code == 303


async def test_a_provider_that_changes_its_keys_is_asked_for_them_again_but_not_by_everybody(door: Door) -> None:
    assert (await door.log_in()).status_code == 303
    assert door.identity.asked.count("keys") == 1
    before, door.identity.key = door.identity.key, SigningKey("second")
    door.identity.published = [door.identity.key]
    assert (await door.log_in()).status_code == 401  # asked a moment ago: whoever sends tokens does not drive questions
    door.clock.now += keyset.REREAD_SECONDS
    assert (await door.log_in()).status_code == 303
    assert door.identity.asked.count("keys") == 2
    door.identity.key = before
    assert (await door.log_in()).status_code == 401  # withdrawn


async def test_the_answer_to_another_log_in_is_refused(door: Door) -> None:
    """Else somebody could have another one's browser log in as himself."""
    _, foreign = await door.begin()
    await door.begin()
    for back in (foreign, f"{HERE}/login/oidc/callback?code=x", f"{HERE}/login/oidc/callback?code=x&state=%00"):
        assert (await door.browser.get(back)).status_code == 401
        await door.begin()
    door.browser.cookies.clear()
    assert (await door.browser.get(foreign)).status_code == 401
    door.browser.cookies.set("keepstep_login", "bm8ganNvbg")
    assert (await door.browser.get(foreign)).status_code == 401
    assert "token" not in door.identity.asked


async def test_a_code_counts_once(door: Door) -> None:
    _, back = await door.begin()
    pending = dict(door.browser.cookies)
    assert (await door.browser.get(back)).status_code == 303
    door.browser.cookies.clear()
    door.browser.cookies.update(pending)
    assert (await door.browser.get(back)).status_code == 401


async def test_an_answer_of_another_issuer_is_refused(door: Door) -> None:
    _, back = await door.begin()
    assert (await door.browser.get(back.replace("iss=", "iss=https%3A%2F%2Fevil.example&was="))).status_code == 401
    door.identity.described["authorization_response_iss_parameter_supported"] = True


async def test_where_the_provider_says_that_it_names_itself_it_must(door: Door) -> None:
    door.identity.described["authorization_response_iss_parameter_supported"] = True
    _, back = await door.begin()
    assert (await door.browser.get(back.replace("&iss=", "&was="))).status_code == 401


async def test_what_the_provider_refuses_is_refused(door: Door) -> None:
    sent, _ = await door.begin()
    state = parse_qs(urlsplit(sent).query)["state"][0]
    said = {"error": "access_denied", "error_description": "<script>", "state": state, "code": "x"}
    answer = await door.browser.get("/login/oidc/callback", params=said)
    assert (answer.status_code, "script" in answer.text) == (401, False)


async def test_a_wrong_secret_logs_nobody_in(door: Door) -> None:
    door.identity.secret = "another"
    answer = await door.log_in()
    assert (answer.status_code, "invalid_client" in answer.text) == (401, True)


@pytest.mark.parametrize(
    ("secret", "methods"), [(SECRET, ["client_secret_post"]), (SECRET, ["client_secret_basic"]), ("", ["none"])]
)
async def test_the_server_proves_itself_as_the_provider_wishes(secret: str, methods: list[str]) -> None:
    async with Identity.serving() as identity:
        identity.secret = secret
        identity.described["token_endpoint_auth_methods_supported"] = methods
        async with door_to(identity, client_secret=secret) as door:
            assert (await door.log_in()).status_code == 303


ELSEWHERE = [
    "https://evil.example", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
    "/\t/evil.example", "javascript:alert(1)", "http:evil.example", "/http://evil.example", "runs//evil", "../evil",
    "a/../../evil", " //evil", "\r\nSet-Cookie: x=y", "login/oidc", "/api/v1/session", "x" * 3000, "rüns",
]  # fmt: skip


@pytest.mark.parametrize("next", ELSEWHERE)
async def test_nobody_is_sent_elsewhere(door: Door, next: str) -> None:
    answer = await door.log_in(next)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HERE}/")


@pytest.mark.parametrize(
    "next", ["", "runs/a", "runs/a%2Fb?view=history&selected=3", "?filter=Status%20%3D%20'failed'"]
)
async def test_a_page_of_this_server_is_gone_on_with(next: str) -> None:
    assert page_below(next) == page_below("/" + next) == next


async def test_while_the_provider_is_away_nobody_new_comes_in_and_who_is_there_stays() -> None:
    async with Identity.serving() as identity:
        await identity.stop()
        async with door_to(identity) as door:
            answer = await door.browser.get("/login/oidc")
            assert (answer.status_code, "cannot be reached" in answer.text) == (503, True)
            await identity.start()
            assert (await door.browser.get("/login/oidc")).status_code == 503  # asked a moment ago
            door.clock.now += provider.RETRY_SECONDS
            assert (await door.log_in()).status_code == 303
            _, back = await door.begin()
            await identity.stop()
            assert (await door.browser.get(back)).status_code == 503
            assert (await door.who())["name"] == "ann@example.org"
            door.clock.now += 7200  # what it said of itself was read long ago, and counts on
            assert (await door.browser.get("/login/oidc")).status_code == 302
            assert (await door.browser.delete("/api/v1/session")).json()["log_out_url"] != ""


@pytest.mark.parametrize(
    "described",
    [{"issuer": "http://127.0.0.1:1/"}, {"token_endpoint": None}, {"jwks_uri": 5}],
)
async def test_a_provider_that_describes_itself_wrongly_is_not_asked(door: Door, described: dict[str, Any]) -> None:
    door.identity.described = described
    for _ in range(3):
        assert (await door.browser.get("/login/oidc")).status_code == 503
    assert door.identity.asked == ["description"]  # not once for each who comes


async def test_many_failed_log_ins_from_an_address_are_too_many_for_a_while(door: Door) -> None:
    for _ in range(10):
        assert (await door.browser.get("/login/oidc/callback?code=x&state=y")).status_code == 401
    assert (await door.log_in()).status_code == 429
    refused = await door.browser.post("/api/v1/session", json={"key": "x"})
    check_against_document(refused)
    assert (refused.status_code, 0 < int(refused.headers["retry-after"]) <= 60) == (429, True)


# access tokens, which programs show


async def bearer(door: Door, token: str) -> int:
    answer = await Api(door.browser).ask("GET", "/runs", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


async def test_a_program_shows_an_access_token(door: Door) -> None:
    it = door.identity
    assert await bearer(door, it.key.sign(it.tell("keepstep-api"), typ="at+jwt")) == 200
    assert await bearer(door, it.key.sign(it.tell("another-api"))) == 401
    assert await bearer(door, it.key.sign(it.tell(CLIENT, nonce="n"))) == 401
    assert await bearer(door, it.key.sign(it.tell("keepstep-api", nonce="n"))) == 401
    assert await bearer(door, it.key.sign(it.tell("keepstep-api", exp=int(time.time()) - 100))) == 401
    assert await bearer(door, SigningKey("first").sign(it.tell("keepstep-api"))) == 401
    assert await bearer(door, jwt.encode(it.tell("keepstep-api"), "", algorithm="none")) == 401
    assert await bearer(door, it.key.sign(it.tell("keepstep-api", groups=["strangers"]))) == 403
    assert await bearer(door, "a.b.c") == 401


async def test_keys_that_were_read_count_while_the_provider_is_away(door: Door) -> None:
    it = door.identity
    token = it.key.sign(it.tell("keepstep-api"))
    assert await bearer(door, token) == 200
    await it.stop()
    door.clock.now += 7200
    assert await bearer(door, token) == 200
    unknown = SigningKey("unknown").sign(it.tell("keepstep-api"))
    assert await bearer(door, unknown) in (401, 503)


async def test_access_tokens_count_only_where_that_was_said() -> None:
    async with Identity.serving() as identity, door_to(identity) as door:
        assert await bearer(door, identity.key.sign(identity.tell(CLIENT))) == 401


# settings


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"issuer": "http://idp.example"}, "must begin with https"),
        ({"issuer": "idp.example"}, "is an address such as"),
        ({"issuer": "https://idp.example?x"}, r"without \?"),
        ({"public_url": "http://keepstep.example"}, "must begin with https"),
        ({"client_id": ""}, "--oidc-client-id"),
        ({"rules": ()}, "--oidc-role"),
        ({"audience": "me"}, "ID tokens would be taken"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(given: dict[str, Any], why: str) -> None:
    right: dict[str, Any] = {
        "issuer": "https://idp.example",
        "client_id": "me",
        "public_url": HERE,
        "rules": (read_rule("read=a"),),
    }
    OidcSettings(**right).check()
    with pytest.raises(InvalidInput, match=why):
        OidcSettings(**{**right, **given}).check()


@pytest.mark.parametrize("text", ["", "admin", "admin=", "root=x", "public=x", "admin@=x", "=x", "admin@:keys=x"])
def test_a_rule_that_gives_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_rule(text)


def test_settings_do_not_show_the_secret() -> None:
    shown = repr(OidcSettings(issuer="https://idp.example", client_id="me", client_secret="hush", public_url=HERE))
    assert "hush" not in shown


def test_groups_stand_in_claims_of_many_forms() -> None:
    claims = {"groups": ["a", 5, "b"], "realm_access": {"roles": ["c"]}, "https://x.example/groups": "d"}
    assert groups_in(claims, "groups") == {"a", "b"}
    assert groups_in(claims, "realm_access.roles") == {"c"}
    assert groups_in(claims, "https://x.example/groups") == {"d"}
    assert groups_in(claims, "nothing.at.all") == groups_in({"g": 5}, "g") == set()


def test_a_name_that_would_break_a_line_of_a_log_is_not_taken() -> None:
    assert name_in({"email": "a\nb", "name": "Ann", "sub": "1"}) == "Ann"
    assert name_in({"sub": "1"}) == "1"
    assert name_in({"sub": "\x00"}) == "?"
