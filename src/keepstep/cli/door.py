"""Door: who is let in to ``keepstep server``, how they say who they are, and whether what they say travels by TLS."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from keepstep.client.access import KeyRing
from keepstep.journal import InvalidInput, Journal, uuid7
from keepstep.runtime.data import to_seconds

from .listening import base_url, callback_option, is_loopback

if TYPE_CHECKING:
    from keepstep.server.guard import Guard
    from keepstep.server.oidc import Provider
    from keepstep.server.tls import Certificate

SECRET = "KEEPSTEP_OIDC_CLIENT_SECRET"


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """What the options of that name say."""

    require_keys: bool = False
    allow_anonymous: bool = False
    allow_host: tuple[str, ...] = ()
    public_url: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    session_idle: str = "1h"
    session_max: str = "12h"
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret_file: str = ""
    oidc_role: tuple[str, ...] = ()
    oidc_decode: tuple[str, ...] = ()
    oidc_groups_claim: str = "groups"
    oidc_scope: tuple[str, ...] = ("openid", "profile", "email")
    oidc_audience: str = ""
    callback_secrets: str | None = None
    """A file of those with one of which callbacks must be signed."""
    asks: bool = False
    """Whether callers are asked who they are; known once the address is (``at``)."""

    def at(self, host: str, port: int) -> Door:
        """As it is at an address. Raises ``InvalidInput`` for options that do not go together."""
        if (self.require_keys or self.oidc_issuer) and self.allow_anonymous:
            raise InvalidInput("--allow-anonymous lets in whom --require-keys and --oidc-issuer ask; leave one out")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise InvalidInput("--tls-cert and --tls-key go together: a certificate, and its key")
        if not self.oidc_issuer and (self.oidc_client_id or self.oidc_role or self.oidc_decode or self.oidc_audience):
            raise InvalidInput("the other options of --oidc-… need --oidc-issuer: the address of the identity provider")
        asks = not self.allow_anonymous and (self.require_keys or bool(self.oidc_issuer) or not is_loopback(host))
        url = self.public_url or base_url(host, port, self.scheme)
        return msgspec.structs.replace(self, asks=asks, public_url=url)

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"

    @property
    def says(self) -> str:
        """Who is let in, for whoever has started it."""
        if not self.asks:
            return "nobody is asked who they are"
        return f"callers show keys or log in at {self.oidc_issuer}" if self.oidc_issuer else "callers show keys"


def door_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options of ``Door``, which the command is given as ``door``."""

    @click.option("--require-keys", is_flag=True, help="Ask for keys on the loopback address, too.")
    @click.option("--allow-anonymous", is_flag=True, help="Let everybody who reaches the address do everything.")
    @click.option("--allow-host", multiple=True, metavar="NAME", help="By which browsers may call it, too.")
    @click.option(
        "--public-url", metavar="URL", default="", help="Where browsers reach it; by default the --http address."
    )
    @click.option(
        "--tls-cert", metavar="FILE", default="", help="Speak TLS with this certificate (PEM, the whole chain)."
    )
    @click.option("--tls-key", metavar="FILE", default="", help="Its key.")
    @click.option(
        "--session-idle", metavar="TIME", default="1h", show_default=True, help="A log-in unused for so long ends."
    )
    @click.option("--session-max", metavar="TIME", default="12h", show_default=True, help="And any ends after so long.")
    @click.option("--oidc-issuer", metavar="URL", default="", help="People log in there.")
    @click.option("--oidc-client-id", metavar="ID", default="", help="What this server is called there.")
    @click.option("--oidc-client-secret-file", metavar="FILE", default="", help=f"Or in the environment: {SECRET}.")
    @click.option(
        "--oidc-role", multiple=True, metavar="ROLE[@NAMESPACE]=GROUP", help="Who is in that group has that role."
    )
    @click.option("--oidc-decode", multiple=True, metavar="GROUP", help="Who is in it may see encrypted values, too.")
    @click.option("--oidc-groups-claim", metavar="NAME", default="groups", show_default=True)
    @click.option("--oidc-scope", multiple=True, default=("openid", "profile", "email"), show_default=True)
    @click.option("--oidc-audience", metavar="NAME", default="", help="Take access tokens for that, too.")
    @callback_option
    @functools.wraps(command)
    def door_command(**options: Any) -> int:
        door = Door(**{name: options.pop(name) for name in Door.__struct_fields__ if name in options})
        return command(door=door, **options)

    return door_command


async def guard_of(door: Door, store: Journal, host: str) -> Guard:
    """Raises ``InvalidInput`` where callers are to be asked and nobody could answer."""
    from keepstep.server.guard import Guard
    from keepstep.server.sessions import Sessions

    if not door.asks:
        return Guard(hosts=None if door.allow_anonymous else door.allow_host)
    ring = KeyRing(store, os.urandom, uuid7)
    provider = _provider(door, store) if door.oidc_issuer else None
    if provider is None and not await ring.list():
        raise InvalidInput(
            f"callers at {host} have to say who they are, and nobody could: make a key by: keepstep keys create NAME "
            "--role admin, or have people log in by --oidc-issuer (docs/access.md), or let everybody in who reaches "
            "that address by --allow-anonymous"
        )
    sessions = Sessions(
        store,
        os.urandom,
        uuid7,
        idle_seconds=to_seconds(door.session_idle),
        total_seconds=to_seconds(door.session_max),
    )
    is_secure = door.public_url.startswith("https://")
    return Guard(ring, store.clock, sessions=sessions, provider=provider, is_secure=is_secure)


def _provider(door: Door, store: Journal) -> Provider:
    try:
        from keepstep.server.oidc import OidcSettings, Provider
        from keepstep.server.oidc.settings import rules_of
    except ImportError as error:
        raise InvalidInput(f"--oidc-issuer needs more packages ({error.name}): pip install 'keepstep[oidc]'") from error
    settings = OidcSettings(
        issuer=door.oidc_issuer,
        client_id=door.oidc_client_id,
        client_secret=_secret(door),
        public_url=door.public_url,
        rules=rules_of(door.oidc_role),
        decoders=door.oidc_decode,
        groups_claim=door.oidc_groups_claim,
        scopes=tuple(dict.fromkeys(("openid", *door.oidc_scope))),
        audience=door.oidc_audience,
    )
    return Provider(settings, store.clock.monotonic)


def _secret(door: Door) -> str:
    """Never an option: everybody on the machine sees what a command was given."""
    if not door.oidc_client_secret_file:
        return os.environ.get(SECRET, "")
    try:
        secret = Path(door.oidc_client_secret_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--oidc-client-secret-file cannot be read: {error}") from error
    if not secret:
        raise InvalidInput(f"--oidc-client-secret-file {door.oidc_client_secret_file} is empty")
    return secret


def certificate_of(door: Door) -> Certificate | None:
    """Raises ``InvalidInput`` for files that do not fit."""
    from keepstep.server.tls import Certificate

    return Certificate(door.tls_cert, door.tls_key) if door.tls_cert else None
