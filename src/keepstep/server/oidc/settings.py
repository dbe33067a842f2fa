"""Settings: which provider asks people who they are, and what those whom it knows may do here.

Nobody may do anything here who is in none of the groups that a rule names.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from keepstep.client.access import Grant, Role
from keepstep.client.namespace import checked_namespace
from keepstep.journal import InvalidInput

GROUPS_CLAIM = "groups"
SCOPES = ("openid", "profile", "email")
NAMING_CLAIMS = ("email", "preferred_username", "name", "sub")
NAME_CHARS_MAX = 200


class RoleRule(msgspec.Struct, frozen=True, kw_only=True):
    """Who is in that group has that role."""

    group: str
    role: Role
    namespaces: tuple[str, ...] = ()
    """Where; everywhere, if there are none."""


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True):
    """See the fields."""

    issuer: str
    """The provider's address, as it writes it into tokens."""
    client_id: str
    client_secret: str = ""
    """Empty for a public client, which PKCE protects alone."""
    public_url: str
    """Where browsers reach this server."""
    rules: tuple[RoleRule, ...] = ()
    decoders: tuple[str, ...] = ()
    """Groups for whom encrypted values are opened."""
    groups_claim: str = GROUPS_CLAIM
    scopes: tuple[str, ...] = SCOPES
    audience: str = ""
    """Of access tokens that programs show; none are taken without it."""

    def __repr__(self) -> str:
        return f"<OidcSettings {self.issuer} as {self.client_id!r}>"

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to; it must know it."""
        return self.public_url.rstrip("/") + "/login/oidc/callback"

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach this server by TLS."""
        return urlsplit(self.public_url).scheme == "https"

    @property
    def path(self) -> str:
        """That cookies of the log-in are for."""
        return urlsplit(self.public_url).path.rstrip("/") + "/"

    def check(self) -> None:
        """Raises ``InvalidInput``."""
        _check_url(self.issuer, "--oidc-issuer")
        if "?" in self.issuer or "#" in self.issuer:
            raise InvalidInput("--oidc-issuer is an address without ? and #")
        _check_url(self.public_url, "--public-url")
        if not self.client_id:
            raise InvalidInput("--oidc-issuer needs --oidc-client-id: what this server is called at the provider")
        if not self.rules:
            message = "nobody could do anything: say who may, such as --oidc-role admin=GROUP or --oidc-role read=GROUP"
            raise InvalidInput(message)
        if self.audience == self.client_id:
            raise InvalidInput(
                "--oidc-audience is that of access tokens; were it the client id, ID tokens would be taken for them"
            )

    def grants_of(self, claims: Mapping[str, Any]) -> tuple[Grant, ...]:
        """What somebody of whom the provider says this may do."""
        groups = groups_in(claims, self.groups_claim)
        decodes = bool(groups & set(self.decoders))
        return tuple(
            Grant(role=each.role, namespaces=each.namespaces, decodes=decodes)
            for each in self.rules
            if each.group in groups
        )


def groups_in(claims: Mapping[str, Any], path: str) -> set[str]:
    """The groups of a claim: a list of texts, or one text. Dots lead into objects, where no claim has that name."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return {found}
    return {each for each in found if isinstance(each, str)} if isinstance(found, list) else set()


def name_in(claims: Mapping[str, Any]) -> str:
    """What a person is called, for people; they may have it of another, which their subject tells apart."""
    for claim in NAMING_CLAIMS:
        name = claims.get(claim)
        if isinstance(name, str) and name.isprintable() and name.strip():
            return name[:NAME_CHARS_MAX]
    return "?"


def read_rule(text: str) -> RoleRule:
    """``ROLE=GROUP``, or ``ROLE@NAMESPACE=GROUP``. Raises ``InvalidInput``."""
    held, _, group = text.partition("=")
    role, at, namespace = held.partition("@")
    roles = [each.value for each in Role if each is not Role.PUBLIC]
    if role not in roles or not group or (at and not namespace):
        raise InvalidInput(
            f"--oidc-role is ROLE=GROUP or ROLE@NAMESPACE=GROUP, with a role of {', '.join(roles)}, not {text!r:.100}"
        )
    return RoleRule(group=group, role=Role(role), namespaces=(checked_namespace(namespace),) if at else ())


def rules_of(texts: Sequence[str]) -> tuple[RoleRule, ...]:
    """Raises ``InvalidInput``."""
    return tuple(map(read_rule, texts))


def _check_url(url: str, option: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise InvalidInput(f"{option} is no address: {url!r:.100}") from None
    if parts.scheme not in ("https", "http") or not host or parts.username or not url.isprintable() or " " in url:
        raise InvalidInput(f"{option} is an address such as https://host.example, not {url!r:.100}")
    if parts.scheme == "http" and not _is_loopback(host):
        raise InvalidInput(f"{option} must begin with https: what people log in with would travel in plain text")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
