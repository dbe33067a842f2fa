"""Cookie: what a browser keeps for this server: the name of its session, and a log-in on its way.

No script reads them, and over TLS they go over nothing else. Where the server has its host for itself, they also have
the prefix ``__Host-``: browsers take such a cookie from that very host alone, not from one beside it or in plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Headers = Mapping[bytes, bytes]

SESSION = "keepstep_session"
LOG_IN = "keepstep_login"
HOST = "__Host-"


def read_cookie(headers: Headers, name: str) -> str:
    """Its value; "" if there is none."""
    pairs = [part.strip().partition("=") for part in headers.get(b"cookie", b"").decode("latin-1").split(";")]
    found = {each: value for each, _, value in reversed(pairs)}
    return found.get(HOST + name) or found.get(name, "")


def write_cookie(
    name: str, value: str, *, path: str, is_secure: bool, seconds: int, same_site: Literal["Strict", "Lax"] = "Strict"
) -> str:
    """The header that sets it, or, for 0 seconds, takes it away. ``Lax``: it goes along, too, when a page of another
    site leads here."""
    prefix = HOST if is_secure and path == "/" else ""
    secure = "; Secure" if is_secure else ""
    return f"{prefix}{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}"
