"""Session: a browser shows its key once and has it in a cookie from then on, which no script of a page can read.

The cookie goes with requests of this server's own pages alone (``SameSite=Strict``), and what changes something must
come from one of them (``guard``): so no other site can use it.
"""

from __future__ import annotations

import msgspec

from keepstep.client.access.role import Role
from keepstep.server.call import Call
from keepstep.server.caller import Caller
from keepstep.server.guard import COOKIE
from keepstep.server.route import Query, Routes

routes = Routes("session")


class KeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `keepstep keys create` has printed."""

    key: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls."""

    needs_key: bool
    """Whether this server asks for keys."""
    name: str
    """Of the key; empty where none is shown, or one that does not count."""
    role: Role
    namespaces: list[str]
    """Where the role holds; everywhere, if there are none."""

    @classmethod
    def of(cls, call: Call, caller: Caller | None) -> Session:
        needs_key = call.desk.guard.needs_key
        if caller is None:
            return cls(needs_key=needs_key, name="", role=Role.PUBLIC, namespaces=[])
        return cls(needs_key=needs_key, name=caller.name, role=caller.role, namespaces=list(caller.namespaces))


@routes.get("/session", role=Role.PUBLIC)
async def describe_session(call: Call, query: Query) -> Session:
    """Tell who calls, and whether a key is needed."""
    return Session.of(call, await call.desk.guard.identify(call.headers))


@routes.post("/session", role=Role.PUBLIC, refuses=(401, 403))
async def begin_session(call: Call, query: Query, body: KeyBody) -> Session:
    """Show a key once: the answer sets it as a cookie, for browsers."""
    caller = await call.desk.guard.recognize(body.key)
    if call.desk.guard.needs_key:  # else nobody has looked at the text, and it must not come near a header
        call.cookie = _cookie(call, body.key.strip(), "")
    return Session.of(call, caller)


@routes.delete("/session", role=Role.PUBLIC, refuses=(403,))
async def end_session(call: Call, query: Query) -> Session:
    """Forget the key."""
    call.cookie = _cookie(call, "", "; Max-Age=0")
    return Session.of(call, None)


def _cookie(call: Call, value: str, more: str) -> str:
    secure = "; Secure" if call.is_secure else ""
    return f"{COOKIE}={value}; Path={call.root_path}/; HttpOnly; SameSite=Strict{secure}{more}"
