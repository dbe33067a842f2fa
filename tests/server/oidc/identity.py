"""An identity provider on a socket of its own: discovery, keys, an authorization and a token endpoint, and its lies.

It checks what a real one does: the redirect address, the client's secret, that a code is used once, and that the
verifier fits the challenge (RFC 7636). What it puts into tokens, and how it signs them, tests can change.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from keepstep.server.listener import Listener
from tests.cli.command import free_port

CLIENT, SECRET = "keepstep", "s3cret/+:%"

Claims = dict[str, Any]


class SigningKey:
    """A private key with a name."""

    def __init__(self, id: str, algorithm: str = "RS256", bits: int = 2048) -> None:
        self.id = id
        self.algorithm = algorithm
        kinds: dict[str, Callable[[], Any]] = {
            "RS": lambda: rsa.generate_private_key(65537, bits),
            "PS": lambda: rsa.generate_private_key(65537, bits),
            "ES": lambda: ec.generate_private_key(ec.SECP256R1()),
            "Ed": ed25519.Ed25519PrivateKey.generate,
        }
        self.private = kinds[algorithm[:2]]()

    def as_public(self) -> dict[str, Any]:
        maker = jwt.get_algorithm_by_name(self.algorithm)
        data = json.loads(maker.to_jwk(self.private.public_key()))
        return {**data, "kid": self.id, "use": "sig", "alg": self.algorithm}

    def sign(self, claims: Claims, **header: Any) -> str:
        return jwt.encode(claims, self.private, algorithm=self.algorithm, headers={"kid": self.id, **header})


class Identity:
    """``async with Identity.serving() as identity``."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.issuer = f"http://127.0.0.1:{port}"
        self.redirect_uri = "http://127.0.0.1:8710/login/oidc/callback"
        self.key = SigningKey("first")
        self.published = [self.key]
        self.person: Claims = {"sub": "ann-1", "email": "ann@example.org", "groups": ["staff"]}
        self.lies: Claims = {}
        """Claims that tokens have in the place of the true ones; None leaves one out."""
        self.sign: Callable[[Claims], str] = lambda claims: self.key.sign(claims)
        self.secret = SECRET
        self.asked: list[str] = []
        self.described: Claims = {}
        """What its description has in the place of the truth."""
        self._codes: dict[str, dict[str, str]] = {}
        self._listener: Listener | None = None

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[Identity]:
        identity = cls(free_port())
        await identity.start()
        try:
            yield identity
        finally:
            await identity.stop()

    async def start(self) -> None:
        paths = {
            "/.well-known/openid-configuration": self._describe,
            "/keys": self._keys,
            "/authorize": self._authorize,
        }
        routes = [Route(path, answer) for path, answer in paths.items()]
        app = Starlette(routes=[*routes, Route("/token", self._token, methods=["POST"])])
        self._listener = Listener(app, "127.0.0.1", self.port, grace_seconds=0)
        await self._listener.start()

    async def stop(self) -> None:
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    def tell(self, audience: str = CLIENT, **more: Any) -> Claims:
        """What a token says."""
        now = int(time.time())
        told = {"iss": self.issuer, "aud": audience, "iat": now, "exp": now + 300, **self.person, **more, **self.lies}
        return {name: value for name, value in told.items() if value is not None}

    async def _describe(self, request: Request) -> Response:
        self.asked.append("description")
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "end_session_endpoint": f"{self.issuer}/logout",
                **self.described,
            }
        )

    async def _keys(self, request: Request) -> Response:
        self.asked.append("keys")
        return JSONResponse({"keys": [each.as_public() for each in self.published]})

    async def _authorize(self, request: Request) -> Response:
        said = dict(request.query_params)
        if said["redirect_uri"] != self.redirect_uri or said["client_id"] != CLIENT:
            return JSONResponse({"error": "invalid_request"}, 400)
        assert (said["response_type"], said["code_challenge_method"]) == ("code", "S256")
        code = secrets.token_urlsafe(16)
        self._codes[code] = said
        back = {"code": code, "state": said["state"], "iss": self.issuer}
        return RedirectResponse(f"{said['redirect_uri']}?{urlencode(back)}")

    async def _token(self, request: Request) -> Response:
        self.asked.append("token")
        said = dict(parse_qsl((await request.body()).decode()))
        begun = self._codes.pop(said.get("code", ""), None)
        if not self._is_client(request, said):
            return JSONResponse({"error": "invalid_client"}, 401)
        fits = begun is not None and _challenge(said["code_verifier"]) == begun["code_challenge"]
        if begun is None or not fits or said["redirect_uri"] != begun["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        token = self.sign(self.tell(nonce=begun["nonce"]))
        return JSONResponse({"id_token": token, "access_token": "opaque", "token_type": "Bearer"})

    def _is_client(self, request: Request, said: dict[str, str]) -> bool:
        if not self.secret:
            return said.get("client_id") == CLIENT and "client_secret" not in said
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            return (said.get("client_id"), said.get("client_secret")) == (CLIENT, self.secret)
        id, _, secret = base64.b64decode(pair).decode().partition(":")
        return (unquote_plus(id), unquote_plus(secret)) == (CLIENT, self.secret)


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
