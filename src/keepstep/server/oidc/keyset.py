"""Keyset: the keys that a provider signs with. They are kept, and read anew when a token names one that is not there.

* Which algorithm is allowed is said here, not by the token: signatures by public keys alone. A token without a
  signature, or one that takes a public key for a shared secret, is refused before any key is looked up.
* A token that names an unknown key has the keys read again, at most once in ``REREAD_SECONDS``, whoever sends how many.
* Where the provider cannot be reached, keys that were read before count on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import jwt

from .refusing import Refused, Unreachable

logger = logging.getLogger("keepstep.server")

FAMILIES = {
    "RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
    "ES256": "EC", "ES384": "EC", "ES512": "EC", "EdDSA": "OKP",
}  # fmt: skip
"""The algorithms that are allowed, and the kinds of key that they are for."""

RSA_BITS_MIN = 2048
KEEP_SECONDS = 3600.0
REREAD_SECONDS = 10.0
KEYS_MAX = 100


class Keyset:
    """``read``: gives the provider's document of keys, or raises. ``monotonic``: seconds."""

    def __init__(self, read: Callable[[], Awaitable[dict[str, Any]]], monotonic: Callable[[], float]) -> None:
        self._read = read
        self._monotonic = monotonic
        self._keys: list[dict[str, Any]] = []
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading = asyncio.Lock()
        self._renewing: asyncio.Future[None] | None = None

    async def key_for(self, token: str) -> tuple[jwt.PyJWK, str]:
        """The key that a token says it was signed with, and the algorithm. Raises ``Refused``, ``Unreachable``."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise Refused("it is no signed token") from None
        algorithm = header.get("alg")
        if algorithm not in FAMILIES:
            raise Refused(f"it is signed by {algorithm!r:.20}, which is not allowed")
        id = header.get("kid")
        found = self._fitting(id, algorithm)
        if len(found) != 1:
            async with self._reading:
                found = self._fitting(id, algorithm)  # somebody else may have read them meanwhile
                if len(found) != 1 and self._may_read():
                    await self._renew()
                    found = self._fitting(id, algorithm)
        elif self._age() >= KEEP_SECONDS and self._may_read():
            self._renewing = asyncio.ensure_future(self._renew_later())  # nobody waits for that
        if not self._keys:
            raise Unreachable("the keys of the identity provider could not be read")
        if len(found) != 1:
            raise Refused("it is signed with a key that the provider does not name")
        return _as_key(found[0], algorithm), algorithm

    def _age(self) -> float:
        return float("inf") if self._read_at is None else self._monotonic() - self._read_at

    def _may_read(self) -> bool:
        return self._tried_at is None or self._monotonic() - self._tried_at >= REREAD_SECONDS

    async def _renew(self) -> None:
        """Raises ``Unreachable``."""
        self._tried_at = self._monotonic()
        try:
            keys = (await self._read()).get("keys")
        finally:
            self._tried_at = self._monotonic()  # those who waited meanwhile do not wait as long again
        self._keys = [each for each in keys[:KEYS_MAX] if isinstance(each, dict)] if isinstance(keys, list) else []
        self._read_at = self._tried_at

    async def _renew_later(self) -> None:
        try:
            await self._renew()
        except Unreachable as error:
            logger.warning("the keys of the identity provider cannot be read again, those read before count: %s", error)

    def _fitting(self, id: Any, algorithm: str) -> list[dict[str, Any]]:
        """Of keys without a name, or a token that names none, there must be one alone that fits."""
        return [
            each
            for each in self._keys
            if (id is None or each.get("kid") == id)
            and each.get("kty") == FAMILIES[algorithm]
            and each.get("use", "sig") == "sig"
            and each.get("alg", algorithm) == algorithm
        ]


def _as_key(data: dict[str, Any], algorithm: str) -> jwt.PyJWK:
    try:
        key = jwt.PyJWK.from_dict(data, algorithm=algorithm)
    except jwt.PyJWTError:
        raise Refused("it is signed with a key that cannot be read") from None
    bits = getattr(key.key, "key_size", RSA_BITS_MIN)
    if data["kty"] == "RSA" and bits < RSA_BITS_MIN:
        raise Refused(f"it is signed with a key of {bits} bits; {RSA_BITS_MIN} are needed")
    return key
