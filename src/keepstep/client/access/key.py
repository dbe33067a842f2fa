"""Key: what somebody shows who calls over HTTP. The database has its digest, and so nothing that could be shown.

A key is ``ks_``, its id, ``_`` and 32 random bytes, so that one that leaks is found by whoever scans for such texts. As
the secret is random and long, one round of SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable

import msgspec

from .grant import Grant
from .role import Role

PREFIX = "ks_"
ID_BYTES = 5
SECRET_BYTES = 32

_FORM = re.compile(r"ks_(?P<id>[a-z2-7]{8})_(?P<secret>[A-Za-z0-9_-]{43})")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a key."""

    id: str
    name: str
    """Whose it is; shown in the audit log."""
    role: Role
    namespaces: tuple[str, ...] = ()
    """Where it may be used; everywhere, if there are none."""
    decodes: bool = False
    """Whether encrypted values are opened for its owner where the server has the keys of the codec."""
    digest: str
    created_at: int
    """Engine time in microseconds."""
    expires_at: int | None = None

    @property
    def grant(self) -> Grant:
        """What its owner may do."""
        return Grant(role=self.role, namespaces=self.namespaces, decodes=self.decodes)

    def counts(self, now: int) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at

    def fits(self, secret: str, now: int) -> bool:
        """Whether that is its secret, and it still counts."""
        return hmac.compare_digest(self.digest, digest_of(secret)) and self.counts(now)


def make_secret(random_bytes: Callable[[int], bytes]) -> tuple[str, str]:
    """The id and the secret of a new key."""
    id = base64.b32encode(random_bytes(ID_BYTES)).decode().lower()
    return id, base64.urlsafe_b64encode(random_bytes(SECRET_BYTES)).rstrip(b"=").decode()


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def write_key(id: str, secret: str) -> str:
    """The key as it is handed out, once."""
    return f"{PREFIX}{id}_{secret}"


def read_key(text: str) -> tuple[str, str] | None:
    """Its id and its secret; None for what is no key."""
    found = _FORM.fullmatch(text)
    return (found["id"], found["secret"]) if found else None
