"""Provider: what is read of an identity provider over HTTP. Nothing is asked of it before somebody logs in.

So a server starts while its provider is away, and who is logged in stays so: only a new log-in needs the provider, and
says that it is away. Its description is kept for ``KEEP_SECONDS``, and longer while it cannot be read again.

Answers are read no further than ``ANSWER_BYTES_MAX``, waited for no longer than ``ANSWER_SECONDS_MAX``, and redirects
are not followed. All addresses that it names must be as safe as its own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx2
import msgspec

from keepstep.server.caller import Caller

from .keyset import Keyset
from .refusing import Refused, Unreachable
from .settings import OidcSettings, name_in
from .token import read_access_token, read_id_token

logger = logging.getLogger("keepstep.server")

ANSWER_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 1024 * 1024
KEEP_SECONDS = 3600.0
RETRY_SECONDS = 2.0


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of itself (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Provider:
    """One for a server. ``monotonic``: seconds."""

    def __init__(self, settings: OidcSettings, monotonic: Callable[[], float]) -> None:
        settings.check()
        self.settings = settings
        self._monotonic = monotonic
        self._web: httpx2.AsyncClient | None = None
        self._description: Description | None = None
        self._read_at = 0.0
        self._failed_at: float | None = None
        self._reading = asyncio.Lock()
        self._keys = Keyset(self._read_keys, monotonic)

    @property
    def name(self) -> str:
        """For people who are to know it again."""
        return urlsplit(self.settings.issuer).netloc

    async def close(self) -> None:
        """Close the connections to it."""
        if self._web is not None:
            await self._web.aclose()
            self._web = None

    async def describe(self) -> Description:
        """What it says of itself. Raises ``Unreachable``."""
        async with self._reading:
            now = self._monotonic()
            if self._description is not None and now - self._read_at < KEEP_SECONDS:
                return self._description
            has_just_failed = self._failed_at is not None and now - self._failed_at < RETRY_SECONDS
            if not has_just_failed:
                try:
                    self._description = await self._read_description()
                    self._read_at = now
                except Unreachable as error:
                    self._failed_at = self._monotonic()  # those who waited meanwhile do not wait as long again
                    if self._description is None:
                        raise
                    logger.warning("the identity provider cannot be read again, what it said before counts: %s", error)
            if self._description is None:
                raise Unreachable("it did not answer a moment ago")
            return self._description

    async def address_of_log_in(self, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is sent to log in. Raises ``Unreachable``."""
        endpoint = (await self.describe()).authorization_endpoint
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        }
        return endpoint + ("&" if "?" in endpoint else "?") + urlencode(asked)

    async def address_of_log_out(self) -> str:
        """Where a browser is sent to log out of the provider, too; empty where it offers none, or is away."""
        try:
            endpoint = (await self.describe()).end_session_endpoint
        except Unreachable:
            return ""
        if not endpoint:
            return ""
        asked = {"client_id": self.settings.client_id, "post_logout_redirect_uri": self.settings.public_url}
        return endpoint + ("&" if "?" in endpoint else "?") + urlencode(asked)

    async def exchange(self, code: str, verifier: str, nonce: str) -> Caller:
        """Who has logged in. Raises ``Refused``, ``Unreachable``."""
        description = await self.describe()
        said = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.settings.redirect_uri,
            "code_verifier": verifier,
        }
        headers = self._authenticate(description, said)
        status, answer = await self._ask("POST", description.token_endpoint, headers=headers, data=said)
        token = answer.get("id_token")
        if status != 200 or not isinstance(token, str):
            error = answer.get("error")
            raise Refused(f"the provider gave no ID token for the code: {error!r:.60}")
        settings = self.settings
        claims = await read_id_token(
            token, self._keys, issuer=settings.issuer, client_id=settings.client_id, nonce=nonce
        )
        return self._caller(claims)

    async def recognize(self, token: str) -> Caller:
        """Whose access token that is. Raises ``Refused``, ``Unreachable``."""
        settings = self.settings
        return self._caller(
            await read_access_token(token, self._keys, issuer=settings.issuer, audience=settings.audience)
        )

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        return Caller(name=name_in(claims), subject=claims["sub"], grants=self.settings.grants_of(claims))

    def _authenticate(self, description: Description, said: dict[str, str]) -> dict[str, str]:
        """How this server says at the token endpoint that it is itself (RFC 6749, section 2.3.1)."""
        id, secret = self.settings.client_id, self.settings.client_secret
        methods = description.token_endpoint_auth_methods_supported
        if secret and ("client_secret_basic" in methods or "client_secret_post" not in methods):
            pair = f"{quote_plus(id)}:{quote_plus(secret)}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        said["client_id"] = id
        if secret:
            said["client_secret"] = secret
        return {}

    async def _read_description(self) -> Description:
        address = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        status, answer = await self._ask("GET", address)
        try:
            found = msgspec.convert(answer, Description)
        except msgspec.ValidationError as error:
            raise Unreachable(f"{address} gives no description of a provider (status {status}): {error}") from None
        if found.issuer != self.settings.issuer:
            raise Unreachable(
                f"{address} speaks for the issuer {found.issuer!r:.200}; --oidc-issuer must be written in the same way"
            )
        for each in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri, found.end_session_endpoint):
            if each and urlsplit(self.settings.issuer).scheme == "https" and urlsplit(each).scheme != "https":
                raise Unreachable(f"{address} names an address that is not safe: {each!r:.200}")
        return found

    async def _read_keys(self) -> dict[str, Any]:
        _, answer = await self._ask("GET", (await self.describe()).jwks_uri)
        if "keys" not in answer:
            raise Unreachable("the provider names no keys where it should")
        return answer

    async def _ask(self, method: str, address: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of its answer. Raises ``Unreachable``."""
        if self._web is None:
            self._web = httpx2.AsyncClient(verify=ssl.create_default_context(), follow_redirects=False)
        body = bytearray()
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS_MAX),
                self._web.stream(method, address, timeout=ANSWER_SECONDS_MAX, **options) as answer,
            ):
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > ANSWER_BYTES_MAX:
                        raise Unreachable(f"{_place(address)} has answered more than {ANSWER_BYTES_MAX} bytes")
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as error:
            raise Unreachable(f"{_place(address)} does not answer: {type(error).__name__} {error}") from error
        if answer.status_code >= 500:
            raise Unreachable(f"{_place(address)} has answered with status {answer.status_code}")
        try:
            content = msgspec.json.decode(bytes(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise Unreachable(f"{_place(address)} has not answered with a JSON object (status {answer.status_code})")
        return answer.status_code, content


def challenge_of(verifier: str) -> str:
    """What is shown of a verifier before it is (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _place(address: str) -> str:
    """Without what stands behind the path."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
