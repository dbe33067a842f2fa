"""Guard: who calls, and whether they may. Every route says which role it needs; the guard alone lets a call in.

* With keys, who calls shows one: ``Authorization: Bearer ks_…``. With an identity provider it may be an access token of
  that instead. A browser has logged in before, with a key or at the provider, and shows the name of its session in a
  cookie. Nobody else gets further than what is public.
* A cookie goes along by itself, so a call that changes something counts as its owner's only if the browser says that it
  comes from a page of this server.
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
import time
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from keepstep.client.access import Key, KeyRing, Role
from keepstep.client.access.key import PREFIX, read_key
from keepstep.journal import Clock

from .attempts import Attempts
from .caller import ANYBODY, Caller
from .cookie import SESSION, Headers, read_cookie
from .refusal import RETRY_AFTER_SECONDS, Refusal
from .sessions import Session, Sessions

if TYPE_CHECKING:
    from .oidc import Provider

KEEP_SECONDS = 2.0


class Guard:
    """One for an application. Without a ring, everybody may do everything.

    :param hosts: names by which a browser may call this server, beside those of this machine; None for any.
    :param sessions: of browsers; by default where the keys are. :param provider: where people log in.
    :param is_secure: browsers reach it by TLS, also where a proxy speaks that for it.
    """

    def __init__(
        self,
        ring: KeyRing | None = None,
        clock: Clock | None = None,
        hosts: Collection[str] | None = None,
        *,
        sessions: Sessions | None = None,
        provider: Provider | None = None,
        is_secure: bool = False,
    ) -> None:
        if (ring is None) != (clock is None):
            raise TypeError("a guard with keys needs the clock by which they expire")
        self._ring = ring
        self._clock = clock
        self._hosts = None if hosts is None else frozenset(each.lower() for each in hosts)
        if ring is None and provider is not None:
            raise TypeError("a guard that lets everybody in has nobody log in")
        if sessions is None and ring is not None:
            sessions = Sessions(ring.store, ring.random_bytes, ring.make_id)
        self.sessions = sessions
        self.provider = provider
        self.is_secure = is_secure
        self.attempts = Attempts(time.monotonic if clock is None else clock.monotonic)
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
        caller = await self._caller(headers, is_safe=is_safe)
        if not caller.may(role, namespace):
            raise Refusal(403, "forbidden", _needs(caller, role, namespace), caller=caller)
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
            return await self._caller(headers, is_safe=True)
        except Refusal:
            return None

    async def recognize(self, text: str) -> Caller:
        """Whose key that is. Raises ``Refusal``."""
        return ANYBODY if self._ring is None else caller_with(await self.find_key(text))

    async def find_key(self, text: str) -> Key:
        """The key that was shown. Raises ``Refusal``."""
        shown = read_key(text.strip())
        if shown is None:
            raise _unauthenticated("show a key: Authorization: Bearer ks_…; keepstep keys create makes one")
        id, secret = shown
        key = (await self._current_keys()).get(id)
        assert self._clock is not None
        if key is None or not key.fits(secret, self._clock.now()):
            raise _unauthenticated("this key counts no longer, or never did")
        return key

    async def find_session(self, headers: Headers) -> tuple[Session, Caller] | None:
        """What a browser shows, if it counts; one that was begun with a key counts for as long as that does."""
        text = read_cookie(headers, SESSION)
        session = await self.sessions.find(text) if text and self.sessions is not None else None
        if session is None or self._clock is None:
            return None
        if not session.key_id:
            return session, Caller(name=session.name, subject=session.subject, grants=session.grants)
        key = (await self._current_keys()).get(session.key_id)
        return (session, caller_with(key)) if key is not None and key.counts(self._clock.now()) else None

    async def _caller(self, headers: Headers, *, is_safe: bool) -> Caller:
        if self._ring is None:
            return ANYBODY
        scheme, _, text = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            return await self._recognize_bearer(text.strip())
        found = await self.find_session(headers)
        if found is None:
            if read_cookie(headers, SESSION):
                raise _unauthenticated("this session has ended; log in again")
            return await self.recognize("")
        if not is_safe and not _is_own_page(headers):
            raise Refusal(403, "forbidden", "a browser that changes something must say that a page of this server asks")
        return found[1]

    async def _recognize_bearer(self, text: str) -> Caller:
        provider = self.provider
        if provider is None or not provider.settings.audience or text.startswith(PREFIX) or text.count(".") != 2:
            return await self.recognize(text)
        from .oidc.refusing import Refused, Unreachable

        try:
            return await provider.recognize(text)
        except Refused as error:
            raise _unauthenticated(f"this access token does not count: {error}") from error
        except Unreachable as error:
            raise no_provider() from error

    async def _current_keys(self) -> dict[str, Key]:
        assert self._ring is not None
        assert self._clock is not None
        async with self._reading:
            now = self._clock.monotonic()
            if self._read_at is None or now - self._read_at >= KEEP_SECONDS:
                self._keys = {each.id: each for each in await self._ring.list()}
                self._read_at = now
            return self._keys


def caller_with(key: Key) -> Caller:
    """Who shows that key."""
    return Caller(name=key.name, grants=(key.grant,))


def _unauthenticated(why: str) -> Refusal:
    return Refusal(401, "unauthenticated", why, headers={"WWW-Authenticate": "Bearer"})


def no_provider() -> Refusal:
    """The identity provider is away."""
    message = "the identity provider cannot be reached now; try again later"
    return Refusal(503, "unavailable", message, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _needs(caller: Caller, role: Role, namespace: str) -> str:
    who = repr(caller.name) if caller.subject else f"the key {caller.name!r}"
    if not caller.reaches(namespace):
        return f"{who} is not for namespace {namespace!r}"
    return f"{who} has the role {caller.role_in(namespace).value}; this needs {role.value}"


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


def _is_own_page(headers: Headers) -> bool:
    """Whether the browser says so; an origin that is named was looked at before (``check_origin``)."""
    return b"origin" in headers or headers.get(b"sec-fetch-site") == b"same-origin"
