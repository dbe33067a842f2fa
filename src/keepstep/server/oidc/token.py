"""Token: whether one says what it must: by whom it was made, for whom, for how long, and in answer to what."""

from __future__ import annotations

import hmac
from typing import Any

import jwt

from .keyset import Keyset
from .refusing import Refused

SKEW_SECONDS = 60
"""So far the provider's clock may be from this one's."""

TOKEN_CHARS_MAX = 16 * 1024


async def read_id_token(token: str, keys: Keyset, *, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """What the provider says of who has logged in. Raises ``Refused``, ``Unreachable``."""
    claims = await _verified(token, keys, issuer, client_id)
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    party = claims.get("azp")
    if party != client_id and (party is not None or len(audiences) > 1):
        raise Refused("it was made for another program")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise Refused("it answers another log-in")
    return claims


async def read_access_token(token: str, keys: Keyset, *, issuer: str, audience: str) -> dict[str, Any]:
    """What the provider says of a program, or of whom it works for. Raises ``Refused``, ``Unreachable``."""
    claims = await _verified(token, keys, issuer, audience)
    if "nonce" in claims:
        raise Refused("it is an ID token; show an access token")
    return claims


async def _verified(token: str, keys: Keyset, issuer: str, audience: str) -> dict[str, Any]:
    if len(token) > TOKEN_CHARS_MAX:
        raise Refused("it is too long")
    key, algorithm = await keys.key_for(token)
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            leeway=SKEW_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud", "sub"], "strict_aud": False},
        )
    except jwt.PyJWTError as error:
        raise Refused(_why(error)) from None
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise Refused("it does not say of whom it speaks")
    return claims


def _why(error: jwt.PyJWTError) -> str:
    """In words that tell nothing of the token."""
    reasons: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
        (jwt.ExpiredSignatureError, "it has expired"),
        (jwt.ImmatureSignatureError, "it does not count yet; compare the clocks of this server and the provider"),
        (jwt.InvalidAudienceError, "it was made for another program"),
        (jwt.InvalidIssuerError, "it was made by another issuer"),
        (jwt.MissingRequiredClaimError, str(error)),
        (jwt.InvalidSignatureError, "its signature is wrong"),
    )
    return next((said for kind, said in reasons if isinstance(error, kind)), "it is no valid token")
