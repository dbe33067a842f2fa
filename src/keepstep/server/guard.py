"""Guard: who calls, and whether they may. Every route says which role it needs; the guard alone lets a call in.

* With keys, who calls shows one: ``Authorization: Bearer ks_…``, or, from a browser, in a cookie. Nobody else gets
  further than what is public.
* Without keys (on the loopback address) everybody on the machine may do everything, but not every page in a browser on
  that machine: a page of another site can send requests here, and by a name that it has pointed to 127.0.0.1 it could
  read the answers. So a request that changes something must not come from a page of another origin, and the host that
  it names must be this machine's, or one that was named.

Keys are read from the database every ``KEEP_SECONDS``; a revoked one counts for so long at most. Where the database is
away, nobody is let in.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from keepstep.client.access import Key, KeyRing, Role
from keepstep.client.access.key import read_key
from keepstep.journal import Clock

from .caller import ANYBODY, Caller
from .refusal import Refusal

KEEP_SECONDS = 2.0

COOKIE = "keepstep_key"
"""In which a browser keeps the key that it has shown (``api/session``)."""

Headers = Mapping[bytes, bytes]


class Guard:
    """One for an application. Without a ring, everybody may do everything.

    :param hosts: names by which a browser may call this server, beside those of this machine; None for any.
    """

    def __init__(self, ring: KeyRing | None = None, clock: Clock | None = None, hosts: Collection[str] | None = None):
        if (ring is None) != (clock is None):
            raise TypeError("a guard with keys needs the clock by which they expire")
        self._ring = ring
        self._clock = clock
        self._hosts = None if hosts is None else frozenset(each.lower() for each in hosts)
        self._keys: dict[str, Key] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def admit(self, headers: Headers, role: Role, namespace: str, *, is_safe: bool) -> Caller:
        """Who calls. Raises ``Refusal`` if they may not do what needs that role there.

        ``is_safe``: it is a mere look, by a method with which nothing changes.
        """
        if not is_safe:
            check_origin(headers)
        if self._hosts is not None:
            self._check_host(headers)
        if role is Role.PUBLIC or self._ring is None:
            return ANYBODY
        caller = await self._caller(headers)
        if not caller.may(role, namespace):
            raise Refusal(403, "forbidden", _needs(caller, role, namespace))
        return caller

    def _check_host(self, headers: Headers) -> None:
        host = host_of(headers)
        if self._hosts is None or host in self._hosts or is_this_machine(host):
            return
        message = f"this server is not known as {host!r:.100}; start it with --allow-host NAME if it is"
        raise Refusal(403, "forbidden", message)

    @property
    def needs_key(self) -> bool:
        """Whether callers must show one."""
        return self._ring is not None

    async def identify(self, headers: Headers) -> Caller | None:
        """Who calls, if that is known."""
        try:
            return await self._caller(headers)
        except Refusal:
            return None

    async def recognize(self, text: str) -> Caller:
        """Whose key that is. Raises ``Refusal``."""
        if self._ring is None:
            return ANYBODY
        shown = read_key(text.strip())
        if shown is None:
            raise _unauthenticated("show a key: Authorization: Bearer ks_…; keepstep keys create makes one")
        id, secret = shown
        key = (await self._current_keys()).get(id)
        assert self._clock is not None
        if key is None or not key.fits(secret, self._clock.now()):
            raise _unauthenticated("this key counts no longer, or never did")
        return Caller(name=key.name, role=key.role, namespaces=key.namespaces)

    async def _caller(self, headers: Headers) -> Caller:
        scheme, _, text = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        return await self.recognize(text if scheme.lower() == "bearer" else _cookie_of(headers))

    async def _current_keys(self) -> dict[str, Key]:
        assert self._ring is not None
        assert self._clock is not None
        async with self._reading:
            now = self._clock.monotonic()
            if self._read_at is None or now - self._read_at >= KEEP_SECONDS:
                self._keys = {each.id: each for each in await self._ring.list()}
                self._read_at = now
            return self._keys


def _cookie_of(headers: Headers) -> str:
    """The key that a browser keeps; "" if it has none."""
    for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _unauthenticated(why: str) -> Refusal:
    return Refusal(401, "unauthenticated", why, headers={"WWW-Authenticate": "Bearer"})


def _needs(caller: Caller, role: Role, namespace: str) -> str:
    if caller.namespaces and namespace not in caller.namespaces:
        return f"the key {caller.name!r} is not for namespace {namespace!r}"
    return f"the key {caller.name!r} has the role {caller.role.value}; this needs {role.value}"


def host_of(headers: Headers) -> str:
    """The name by which the caller knows this server, without the port."""
    return _name(headers.get(b"host", b"").decode("latin-1"))


def _name(authority: str) -> str:
    name = authority.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if ":" in name else name


def is_this_machine(name: str) -> bool:
    """Whether a name is this machine's own, whoever answers questions for names."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def check_origin(headers: Headers) -> None:
    """Browsers name the origin of the page that sends a request. Raises ``Refusal`` for one of another site."""
    origin = headers.get(b"origin")
    if origin is None:
        return
    shown = origin.decode("latin-1")
    try:
        authority = urlsplit(shown).netloc.lower()
    except ValueError:
        authority = ""
    if not authority or authority != headers.get(b"host", b"").decode("latin-1").strip().lower():
        raise Refusal(403, "forbidden", f"a page of {shown!r:.100} may change nothing here")
