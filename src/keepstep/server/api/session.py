"""Session: a browser logs in once and has the name of its session in a cookie from then on (``sessions``).

With a key that is done here; with an identity provider the browser is sent to ``/login/oidc`` (``oidc.login``). The
cookie goes with requests of this server's own pages alone (``SameSite=Strict``), and what changes something must come
from one of them (``guard``): so no other site can use it.
"""

from __future__ import annotations

import msgspec

from keepstep.client.access import Grant
from keepstep.client.access.role import Role
from keepstep.server.call import Call
from keepstep.server.caller import Caller
from keepstep.server.cookie import SESSION, read_cookie, write_cookie
from keepstep.server.guard import caller_with
from keepstep.server.refusal import Refusal
from keepstep.server.route import Query, Routes

routes = Routes("session")


class KeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `keepstep keys create` has printed."""

    key: str


class LogIn(msgspec.Struct, frozen=True, kw_only=True):
    """Where else than with a key somebody can log in."""

    name: str
    """Of the identity provider."""
    path: str
    """Of this server, below its base, for a browser to go to; `next` in the query is the page to go on with."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls."""

    needs_key: bool
    """Whether this server asks who calls."""
    name: str
    """Of the key or the person; empty where nobody is known."""
    role: Role
    """The highest one that they have anywhere."""
    namespaces: list[str]
    """Where they may do anything; everywhere, if there are none."""
    grants: list[Grant]
    """Which role holds where."""
    log_in: LogIn | None
    log_out_url: str = ""
    """Where a browser is to be sent next, to log out at the identity provider, too."""

    @classmethod
    def of(cls, call: Call, caller: Caller | None, log_out_url: str = "") -> Session:
        guard = call.desk.guard
        return cls(
            needs_key=guard.needs_key,
            name="" if caller is None else caller.name,
            role=Role.PUBLIC if caller is None else caller.role,
            namespaces=[] if caller is None else list(caller.namespaces),
            grants=[] if caller is None else list(caller.grants),
            log_in=None if guard.provider is None else LogIn(name=guard.provider.name, path="login/oidc"),
            log_out_url=log_out_url,
        )


@routes.get("/session", role=Role.PUBLIC)
async def describe_session(call: Call, query: Query) -> Session:
    """Tell who calls, and whether and how to log in."""
    return Session.of(call, await call.desk.guard.identify(call.headers))


@routes.post("/session", role=Role.PUBLIC, refuses=(401, 403))
async def begin_session(call: Call, query: Query, body: KeyBody) -> Session:
    """Log in with a key, for browsers: the answer sets a cookie."""
    guard = call.desk.guard
    if guard.sessions is None:  # nobody is asked, and the text must not come near anything
        return Session.of(call, call.caller)
    guard.attempts.check(call.client)
    try:
        key = await guard.find_key(body.key)
    except Refusal:
        guard.attempts.fail(call.client)
        raise
    await guard.sessions.end(read_cookie(call.headers, SESSION))
    text = await guard.sessions.begin(key.name, key_id=key.id)
    call.caller = caller_with(key)
    call.cookie = _cookie(call, text, guard.sessions.seconds_max)
    return Session.of(call, call.caller)


@routes.delete("/session", role=Role.PUBLIC, refuses=(403,))
async def end_session(call: Call, query: Query) -> Session:
    """Log out: the session ends, in all processes of the server."""
    guard = call.desk.guard
    url = ""
    if guard.sessions is not None and (found := await guard.find_session(call.headers)) is not None:
        session, call.caller = found
        await guard.sessions.end(read_cookie(call.headers, SESSION))
        if session.subject and guard.provider is not None:
            url = await guard.provider.address_of_log_out()
    call.cookie = _cookie(call, "", 0)
    return Session.of(call, None, url)


def _cookie(call: Call, value: str, seconds: int) -> str:
    is_secure = call.is_secure or call.desk.guard.is_secure
    return write_cookie(SESSION, value, path=f"{call.root_path}/", is_secure=is_secure, seconds=seconds)
